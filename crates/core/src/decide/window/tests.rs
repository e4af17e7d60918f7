use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use lowtide_model::window::{ClosedSpan, Closure, Day, Weekly, Window};

mod calendar;
mod closures;
mod half_way;
mod starts;

fn window(days: &[Day], from: Time, to: Time) -> Window {
    Weekly::between(days, from, to).into()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn once(from: &str, to: &str, why: &str) -> Closure {
    let civil = |text: &str| text.parse::<DateTime>().unwrap();
    let span = ClosedSpan::Once {
        from: civil(from),
        to: civil(to),
    };
    Closure {
        span,
        why: Some(why.to_owned()),
    }
}

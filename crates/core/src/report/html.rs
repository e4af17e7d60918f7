//! A page as HTML for mail clients: tables, inline colours, nothing fetched. The style sheet only adds what clients may
//! ignore: the dark scheme and the width of small screens.

use super::page::{Block, Item, Page, Section, Tone};
use super::words::plural;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const SANS: &str = "font-family:-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;";
const MONO: &str = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;";

/// `!important`: inline colours would win otherwise.
const SHEET: &str = "\
:root{color-scheme:light dark;supported-color-schemes:light dark}\
@media (prefers-color-scheme:dark){\
.sea{background:#0e1820!important}\
.card{background:#16232d!important;border-right-color:#263845!important;border-bottom-color:#263845!important;\
border-left-color:#263845!important}\
.ink{color:#e6eef3!important}\
.soft{color:#9fb2bf!important}\
.well{background:#0e1820!important;border-color:#263845!important;color:#d5e1e8!important}\
.rule{border-color:#263845!important}\
.good{background:#12332c!important;color:#a8e6d2!important;border-color:#2fa787!important}\
.calm{background:#152f42!important;color:#b5d8f2!important;border-color:#4a94c9!important}\
.warn{background:#392c10!important;color:#f5d999!important;border-color:#d19a2a!important}\
.bad{background:#3c1c1a!important;color:#f6bfb8!important;border-color:#d8655a!important}\
}\
@media (max-width:640px){.pad{padding-left:20px!important;padding-right:20px!important}}";

/// Colours of a tone: class for the dark scheme, band, text on it, edge, pill.
struct Paint {
    class: &'static str,
    band: &'static str,
    ink: &'static str,
    edge: &'static str,
}

fn paint(tone: Tone) -> Paint {
    match tone {
        Tone::Good => Paint {
            class: "good",
            band: "#e5f5f0",
            ink: "#0f4a3c",
            edge: "#1f8a6d",
        },
        Tone::Calm => Paint {
            class: "calm",
            band: "#e6f1f9",
            ink: "#123f5e",
            edge: "#2f78ad",
        },
        Tone::Warn => Paint {
            class: "warn",
            band: "#fdf3dc",
            ink: "#5c4106",
            edge: "#c68a12",
        },
        Tone::Bad => Paint {
            class: "bad",
            band: "#fcebe8",
            ink: "#70221a",
            edge: "#c2453a",
        },
    }
}

#[must_use]
pub fn render(page: &Page) -> String {
    let paint = paint(page.tone);
    let body = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="supported-color-schemes" content="light dark";
                title { (page.title) }
                style { (PreEscaped(SHEET)) }
            }
            body.sea style="margin:0;padding:0;background:#eef3f6;" {
                // What clients show beside the subject.
                div style="display:none;max-height:0;overflow:hidden;" { (page.now) }
                table.sea role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"
                    style="background:#eef3f6;" {
                    tr { td align="center" style="padding:28px 12px;" { (card(page, &paint)) } }
                }
            }
        }
    };
    body.into_string()
}

fn card(page: &Page, paint: &Paint) -> Markup {
    let edge = paint.edge;
    html! {
        table.card role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"
            style={ "max-width:640px;background:#ffffff;border:1px solid #d8e2e9;border-top:4px solid " (edge)
                    ";border-radius:10px;border-collapse:separate;text-align:left;" } {
            tr { td.pad style="padding:22px 32px 0;" { (header(page, paint)) } }
            tr { td.pad style="padding:14px 32px 0;" {
                h1.ink style={ (SANS) "margin:0;font-size:21px;line-height:1.35;font-weight:650;color:#14242e;" } {
                    (page.title)
                }
            } }
            tr { td.pad style="padding:16px 32px 4px;" {
                table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" {
                    tr { td class=(paint.class) style={ (SANS) "background:" (paint.band) ";color:" (paint.ink)
                        ";border-left:4px solid " (edge) ";padding:12px 16px;font-size:15px;line-height:1.5;" } {
                        (page.now)
                    } }
                }
            } }
            @for section in &page.sections { (self::section(section)) }
            tr { td.pad style="padding:26px 32px 24px;" {
                p.soft.rule style={ (SANS) "margin:0;padding-top:14px;border-top:1px solid #e3eaef;font-size:12px;line-height:1.5;color:#647885;" } {
                    (page.footer)
                }
            } }
        }
    }
}

fn header(page: &Page, paint: &Paint) -> Markup {
    html! {
        table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" {
            tr {
                td.soft style={ (SANS) "font-size:13px;letter-spacing:.04em;color:#647885;" } { "≈ lowtide" }
                td align="right" {
                    span class=(paint.class) style={ (SANS) "display:inline-block;background:" (paint.band) ";color:" (paint.ink)
                        ";border-radius:11px;padding:3px 11px;font-size:12px;font-weight:600;white-space:nowrap;" } {
                        (page.pill)
                    }
                }
            }
        }
    }
}

fn section(section: &Section) -> Markup {
    html! {
        tr { td.pad style="padding:20px 32px 0;" {
            h2.soft style={ (SANS) "margin:0 0 6px;font-size:12px;line-height:1.4;font-weight:600;letter-spacing:.06em;text-transform:uppercase;color:#647885;" } {
                (section.heading)
            }
            @for block in &section.blocks { (self::block(block)) }
        } }
    }
}

fn block(block: &Block) -> Markup {
    match block {
        Block::Text(text) => html! {
            p.ink style={ (SANS) "margin:0 0 8px;font-size:15px;line-height:1.55;color:#22333d;" } { (text) }
        },
        Block::Facts(facts) => html! {
            table role="presentation" cellpadding="0" cellspacing="0" border="0" width="100%" {
                @for (label, value) in facts {
                    tr {
                        td.soft valign="top" style={ (SANS) "padding:3px 16px 3px 0;font-size:14px;color:#647885;white-space:nowrap;" } { (label) }
                        td.ink width="100%" style={ (MONO) "padding:3px 0;font-size:13px;line-height:1.5;color:#22333d;word-break:break-all;" } { (value) }
                    }
                }
            }
        },
        Block::Link(label, address) => html! {
            p.ink style={ (SANS) "margin:4px 0 8px;font-size:14px;line-height:1.5;color:#22333d;" } {
                (label) ": " a href=(address) style="color:#2f78ad;" { (address) }
            }
        },
        Block::Log { lines, earlier } => log(lines, *earlier),
        Block::Commands(commands) => html! {
            @for (what, command) in commands {
                p.ink style={ (SANS) "margin:8px 0 4px;font-size:14px;line-height:1.5;color:#22333d;" } { (what) ":" }
                div.well style={ (MONO) "background:#f1f5f8;border:1px solid #dde6ec;border-radius:6px;padding:9px 12px;font-size:13px;line-height:1.45;color:#14242e;word-break:break-word;" } {
                    (command)
                }
            }
        },
        Block::Packages { rows, more } => html! {
            table.ink role="presentation" cellpadding="0" cellspacing="0" border="0" width="100%" style="color:#22333d;margin-bottom:10px;" {
                @for row in rows {
                    tr {
                        td.rule valign="top" style={ (SANS) "padding:5px 16px 5px 0;font-size:14px;font-weight:600;border-bottom:1px solid #edf2f5;" } { (row.name) }
                        td.rule style={ (MONO) "padding:5px 0;font-size:13px;border-bottom:1px solid #edf2f5;" } { (row.versions) }
                    }
                }
            }
            (and_more(*more))
        },
        Block::Items { rows, more } => html! {
            table.ink role="presentation" cellpadding="0" cellspacing="0" border="0" width="100%" style="color:#22333d;margin-bottom:10px;" {
                @for Item { name, text, command } in rows {
                    tr { td.rule style={ (SANS) "padding:7px 0;font-size:14px;line-height:1.5;border-bottom:1px solid #edf2f5;" } {
                        @if !name.is_empty() { strong { (name) } " " }
                        (text)
                        @if let Some(command) = command {
                            br;
                            span.soft style={ (MONO) "font-size:12px;color:#4c606d;" } { (command) }
                        }
                    } }
                }
            }
            (and_more(*more))
        },
    }
}

fn log(lines: &[String], earlier: usize) -> Markup {
    html! {
        div.well style={ (MONO) "margin:4px 0 8px;background:#f1f5f8;border:1px solid #dde6ec;border-radius:6px;padding:11px 14px;font-size:12px;line-height:1.55;color:#22333d;white-space:pre-wrap;word-break:break-word;" } {
            @if earlier > 0 {
                span.soft style="color:#647885;" { "… " (earlier) " earlier " (plural(earlier, "line", "lines")) }
                br;
            }
            @for (i, line) in lines.iter().enumerate() {
                @if i > 0 { br; }
                (line)
            }
        }
    }
}

fn and_more(more: usize) -> Markup {
    html! {
        @if more > 0 {
            p.soft style={ (SANS) "margin:8px 0 0;font-size:13px;color:#647885;" } { "and " (more) " more" }
        }
    }
}

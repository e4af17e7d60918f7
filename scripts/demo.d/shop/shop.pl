# A shop that knows its prices from a database. It starts without one, and answers 503 until it has one.
use strict;
use warnings;
use IO::Socket::INET;

my $listener = IO::Socket::INET->new(LocalPort => 8080, Listen => 64, ReuseAddr => 1) or die "listen: $!";
$SIG{TERM} = sub { exit 0 };
$SIG{PIPE} = 'IGNORE';

# The price of a thing: a number, '' for a thing that is not sold, undef without a database.
sub price {
    my ($thing) = @_;
    open(my $file, '<', '/run/secrets/db_password') or return undef;
    chomp(my $password = <$file>);
    my $db = IO::Socket::INET->new(PeerAddr => "$ENV{DB_HOST}:6379", Timeout => 2) or return undef;
    print $db "AUTH $password\r\nGET price:$thing\r\n";
    return undef unless (<$db> // '') =~ /^\+OK/;
    return '' unless (<$db> // '') =~ /^\$[1-9]/;
    my $price = <$db> // '';
    $price =~ s/\s+$//;
    return $price;
}

while (1) {
    my $client = $listener->accept or next;
    my ($thing) = (<$client> // '') =~ m{^GET /price/(\w+) };
    while (defined(my $line = <$client>)) { last if $line =~ /^\r?$/ }
    my $price = defined $thing ? price($thing) : '';
    my ($status, $body) =
          !defined $price ? ('503 Service Unavailable', "no database\n")
        : $price eq ''    ? ('404 Not Found', "not sold here\n")
        :                   ('200 OK', "$price\n");
    print $client "HTTP/1.0 $status\r\nContent-Type: text/plain\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    close $client;
}

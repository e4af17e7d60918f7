# A web service that says hello. One request at a time is enough for a demo.
use strict;
use warnings;
use IO::Socket::INET;

my $port = shift;
my $listener = IO::Socket::INET->new(LocalPort => $port, Listen => 64, ReuseAddr => 1) or die "listen: $!";
$SIG{TERM} = sub { exit 0 };
$SIG{PIPE} = 'IGNORE';
$| = 1;
print "listening on $port\n";

my %page = (
    '/'        => "Hello from the web service.\n",
    '/healthz' => "ok\n",
);

while (1) {
    my $client = $listener->accept or next;
    my ($path) = (<$client> // '') =~ m{^GET (\S+) };
    while (defined(my $line = <$client>)) { last if $line =~ /^\r?$/ }
    my $body = defined $path ? $page{$path} : undef;
    my $status = defined $body ? '200 OK' : '404 Not Found';
    $body //= "no such page\n";
    print $client "HTTP/1.0 $status\r\nContent-Type: text/plain\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    close $client;
}

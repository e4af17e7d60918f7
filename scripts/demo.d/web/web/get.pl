# get.pl PORT PATH: exits 0 when the service on loopback answers 200.
use strict;
use warnings;
use IO::Socket::INET;

my ($port, $path) = @ARGV;
my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 2) or exit 1;
print $server "GET $path HTTP/1.0\r\n\r\n";
exit((<$server> // '') =~ m{^HTTP/1\.. 200} ? 0 : 1);

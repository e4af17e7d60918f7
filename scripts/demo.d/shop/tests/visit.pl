# A visitor of the shop: asks for prices over the network, and writes a JUnit report.
use strict;
use warnings;
use IO::Socket::INET;

sub get {
    my ($path) = @_;
    my $shop = IO::Socket::INET->new(PeerAddr => 'shop:8080', Timeout => 2) or return 'no answer';
    print $shop "GET $path HTTP/1.0\r\n\r\n";
    local $/;
    my ($status, $body) = (<$shop> // '') =~ m{^HTTP/1\.\d (\d+).*?\r\n\r\n(.*)}s;
    $body =~ s/\s+$//;
    return "$status $body";
}

my ($cases, $failures) = ('', 0);
for (['tea_has_its_price', '/price/tea', '200 120'], ['cake_has_its_price', '/price/cake', '200 350'],
     ['a_rocket_is_not_sold', '/price/rocket', '404 not sold here']) {
    my ($name, $path, $expected) = @$_;
    my $got = get($path);
    my $failed = $got eq $expected ? '' : "<failure message=\"expected '$expected'\">got '$got'</failure>";
    print $failed ? "FAIL $name: $got\n" : "ok   $name\n";
    $failures++ if $failed;
    $cases .= "<testcase classname=\"visit\" name=\"$name\">$failed</testcase>";
}
mkdir '/results';
open(my $report, '>', '/results/visit.xml') or die $!;
print $report "<testsuite name=\"visit\" tests=\"3\" failures=\"$failures\">$cases</testsuite>\n";
close $report;
exit($failures ? 1 : 0);

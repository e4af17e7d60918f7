"""An http proxy that counts: proxy.py PORT FILE writes a line per request."""
import http.server, sys, urllib.error, urllib.request

port, log = int(sys.argv[1]), sys.argv[2]
straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with open(log, "a") as counted:
            counted.write(self.path + "\n")
        kept = {k: v for k, v in self.headers.items() if k.lower() in ("if-modified-since", "if-none-match", "user-agent")}
        try:
            answer = straight.open(urllib.request.Request(self.path, headers=kept), timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        body = answer.read()
        self.send_response(answer.status)
        for name in ("last-modified", "etag", "content-type"):
            if answer.headers.get(name):
                self.send_header(name, answer.headers[name])
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Proxy).serve_forever()

"""A mirror of MNIST on this machine, good or bad as a test needs it."""

import gzip
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class Mirror:
    """A local HTTP server of .gz files that can be told how to misbehave, request by request."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.files = {f"/{name}.gz": gzip.compress(data, 1) for name, data in contents.items()}
        self.troubles: list[str] = []  # one taken per request; "" is none
        self.requests: list[str] = []
        self.released = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                mirror.requests.append(self.path)
                path = self.path.partition("?")[0]
                trouble = mirror.troubles.pop(0) if mirror.troubles else ""
                data = mirror.files.get(path)
                if data is None or trouble == "404":
                    self.send_error(404)
                elif trouble in ("403", "503"):
                    self.send_error(int(trouble))
                else:
                    if trouble == "wrong":
                        data = gzip.compress(gzip.decompress(data)[:-1] + b"?", 1)
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    half = len(data) // 2
                    self.wfile.write(data[:half])
                    if trouble == "stall":
                        mirror.released.wait(30)
                    elif trouble != "truncate":
                        self.wfile.write(data[half:])

        return Handler


def zipped(contents: dict[str, bytes]) -> bytes:
    """Give a .zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return buffer.getvalue()

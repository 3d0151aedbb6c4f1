# SPDX-License-Identifier: Apache-2.0
"""nginx in front of the server, as hosts have it: TLS, with HTTP/2 or without."""

import os
import subprocess

import kit
from yardsticks import need

CONFIG = """
daemon off;
pid {top}/nginx.pid;
error_log {top}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {top}/body;
  proxy_temp_path {top}/proxy;
  fastcgi_temp_path {top}/fastcgi;
  uwsgi_temp_path {top}/uwsgi;
  scgi_temp_path {top}/scgi;
  client_max_body_size 0;
  proxy_request_buffering off;
  proxy_http_version 1.1;
  upstream nacre {{ server 127.0.0.1:{behind}; keepalive 32; }}
  server {{
    listen 127.0.0.1:{port} ssl {http2};
    ssl_certificate {top}/cert.pem;
    ssl_certificate_key {top}/key.pem;
    location / {{
      proxy_pass http://nacre;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
    }}
  }}
}}
"""


class Nginx:
    def __init__(self, world, http2):
        need("nginx", "openssl")
        self.top, self.port = world.path("nginx"), kit.free_port()
        os.makedirs(self.top, exist_ok=True)
        self.ca_file = os.path.join(self.top, "cert.pem")
        if not os.path.exists(self.ca_file):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                            "-keyout", os.path.join(self.top, "key.pem"), "-out", self.ca_file],
                           check=True, stderr=subprocess.DEVNULL)
        self.config = os.path.join(self.top, "nginx.conf")
        with open(self.config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(top=self.top, port=self.port, behind=world.port,
                                     http2="http2" if http2 else ""))
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(["nginx", "-p", self.top, "-c", self.config])
        kit.wait_until(lambda: os.path.exists(os.path.join(self.top, "nginx.pid")),
                       "nginx listens")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)

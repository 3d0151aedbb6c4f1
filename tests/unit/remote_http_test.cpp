// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "base/fd.hpp"
#include "code_of.hpp"
#include "local_http.hpp"
#include "remote/http.hpp"

using namespace nacre;
using test::code_of;
using namespace std::chrono_literals;
using test::get;
using test::LocalServer;
using test::quick;

namespace {

// Answers every connection with the same bytes, then hangs up or stays silent.
class RawServer {
 public:
  RawServer(std::string answer, bool hang_up) : answer_(std::move(answer)), hang_up_(hang_up) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener_.get(), generic, size) == 0);
    REQUIRE(::listen(listener_.get(), 16) == 0);
    REQUIRE(::getsockname(listener_.get(), generic, &size) == 0);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~RawServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  [[nodiscard]] const std::string& url() const { return url_; }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void serve() {
    std::vector<Fd> held;
    for (;;) {
      Fd peer(::accept(listener_.get(), nullptr, nullptr));
      if (peer.get() < 0) return;
      ++connections_;
      std::array<char, 4096> request{};
      if (::recv(peer.get(), request.data(), request.size(), 0) <= 0) continue;
      if (::send(peer.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL) < 0) continue;
      if (!hang_up_) held.push_back(std::move(peer));
    }
  }

  const std::string answer_;
  const bool hang_up_;
  Fd listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::string url_;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

}  // namespace

TEST_CASE("a request carries its body and secret headers, and brings body and status back") {
  LocalServer server;
  std::string seen, agent, expect;
  server->Put("/a/b", [&](const httplib::Request& request, httplib::Response& response) {
    seen = request.get_header_value("Authorization");
    agent = request.get_header_value("User-Agent");
    expect = request.get_header_value("Expect");
    response.set_content(request.body, "application/octet-stream");
    response.set_header("X-Seafile-OTP", "required");
    response.status = 201;
  });
  Http http(quick(server.start() + "/a/"));
  const Bytes body(3'000'000, 7);
  const auto token = Secret::copy_of(as_bytes("abc123"));
  HttpRequest request;
  request.method = HttpMethod::put;
  request.path = "/b";
  request.headers = {"Content-Type: application/octet-stream"};
  request.secret_headers = {{"Authorization: Token ", &token}};
  request.body = body;
  request.max_reply = body.size();
  const auto reply = http.perform(request);
  CHECK(reply.status == 201);
  CHECK((reply.body == body));  // not to be printed
  CHECK(reply.header("x-seafile-otp") == "required");
  CHECK(seen == "Token abc123");
  CHECK(agent == "nacre/" NACRE_VERSION);
  CHECK(expect.empty());
}

TEST_CASE("a server that is busy is asked again, within bounds, and only where that is safe") {
  LocalServer server;
  std::atomic<int> asked = 0;
  int status = 503, failures = 2;
  const auto answer = [&](const httplib::Request&, httplib::Response& response) {
    response.status = asked++ < failures ? status : 200;
  };
  server->Get("/x", answer);
  server->Post("/x", answer);
  Http http(quick(server.start()));
  auto post = get("/x");
  post.method = HttpMethod::post;

  SECTION("503 heals") {
    CHECK(http.perform(get("/x")).status == 200);
    CHECK(asked == 3);
  }
  SECTION("500 heals for a GET") {
    status = 500;
    CHECK(http.perform(get("/x")).status == 200);
  }
  SECTION("500 does not for another") {
    status = 500;
    post.idempotent = true;
    CHECK(http.perform(post).status == 500);
    CHECK(asked == 1);
  }
  SECTION("four tries and no more") {
    failures = 100;
    CHECK(http.perform(get("/x")).status == 503);
    CHECK(asked == 4);
  }
  SECTION("a request that may not be repeated is not") {
    CHECK(http.perform(post).status == 503);
    CHECK(asked == 1);
  }
  SECTION("404 is an answer") {
    status = 404;
    CHECK(http.perform(get("/x")).status == 404);
    CHECK(asked == 1);
  }
}

TEST_CASE("Retry-After is waited for when short, and given back when long") {
  LocalServer server;
  std::atomic<int> asked = 0;
  std::string after = "1";
  server->Get("/x", [&](const httplib::Request&, httplib::Response& response) {
    if (asked++ > 0) return;
    response.status = 429;
    response.set_header("Retry-After", after);
  });
  Http http(quick(server.start()));
  const auto began = std::chrono::steady_clock::now();
  SECTION("short") {
    CHECK(http.perform(get("/x")).status == 200);
    CHECK(std::chrono::steady_clock::now() - began >= 1s);
  }
  SECTION("long") {
    after = "3600";
    CHECK(http.perform(get("/x")).status == 429);
    CHECK(asked == 1);
  }
}

TEST_CASE("redirects stay on the server and end") {
  LocalServer server, other;
  std::atomic<int> strayed = 0;
  other->Get(".*", [&](const httplib::Request&, httplib::Response&) { ++strayed; });
  const auto elsewhere = other.start();
  std::string token;
  server->Get("/here", [&](const httplib::Request& request, httplib::Response& response) {
    token = request.get_header_value("Authorization");
    response.set_content("arrived", "text/plain");
  });
  server->Get("/near", [](const httplib::Request&, httplib::Response& response) {
    response.set_redirect("/here");
  });
  server->Get("/far", [&](const httplib::Request&, httplib::Response& response) {
    response.set_redirect(elsewhere + "/here");
  });
  server->Get("/name", [&](const httplib::Request&, httplib::Response& response) {
    response.set_redirect("http://localhost/here");
  });
  server->Get("/round", [](const httplib::Request&, httplib::Response& response) {
    response.set_redirect("/round");
  });
  server->Post("/near", [](const httplib::Request&, httplib::Response& response) {
    response.set_redirect("/here");
  });
  Http http(quick(server.start()));
  const auto secret = Secret::copy_of(as_bytes("t0"));
  const auto ask = [&](const char* path) {
    auto request = get(path);
    request.secret_headers = {{"Authorization: Token ", &secret}};
    return http.perform(request);
  };
  CHECK(as_text(ask("/near").body) == "arrived");
  CHECK(token == "Token t0");
  CHECK(code_of([&] { ask("/far"); }) == Errc::unreachable);
  CHECK(code_of([&] { ask("/name"); }) == Errc::unreachable);
  CHECK(code_of([&] { ask("/round"); }) == Errc::unreachable);
  CHECK(strayed == 0);
  auto post = get("/near");
  post.method = HttpMethod::post;
  CHECK(code_of([&] { http.perform(post); }) == Errc::unreachable);
}

TEST_CASE("a body that is cut short is an error, whatever the status says") {
  SECTION("shorter than its Content-Length") {
    RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", true);
    Http http(quick(server.url()));
    CHECK(code_of([&] { http.perform(get("/x")); }) == Errc::corrupt);
    CHECK(server.connections() == 4);
  }
  SECTION("chunked without its end") {
    RawServer server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true);
    Http http(quick(server.url()));
    const auto code = code_of([&] { http.perform(get("/x")); });
    CHECK((code == Errc::corrupt || code == Errc::unreachable));
  }
  SECTION("not HTTP at all") {
    RawServer server("hello\n", true);
    Http http(quick(server.url()));
    CHECK(code_of([&] { http.perform(get("/x")); }) == Errc::unreachable);
  }
}

TEST_CASE("a body longer than wanted is refused, announced or not") {
  LocalServer server;
  server->Get("/long", [](const httplib::Request&, httplib::Response& response) {
    response.set_content(std::string(2000, 'x'), "text/plain");
  });
  server->Get("/chunked", [](const httplib::Request&, httplib::Response& response) {
    response.set_chunked_content_provider("text/plain", [](std::size_t, httplib::DataSink& sink) {
      sink.write("0123456789", 10);
      return true;  // without end
    });
  });
  Http http(quick(server.start()));
  auto request = get("/long");
  request.max_reply = 2000;
  CHECK(http.perform(request).body.size() == 2000);
  request.max_reply = 1999;
  CHECK(code_of([&] { http.perform(request); }) == Errc::corrupt);
  request.path = "/chunked";
  CHECK(code_of([&] { http.perform(request); }) == Errc::corrupt);
}

TEST_CASE("a server that stalls is given up, in bounded time") {
  RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", false);
  Http http(quick(server.url()));
  auto request = get("/x");
  const auto began = std::chrono::steady_clock::now();
  SECTION("by the stall limit") {
    request.method = HttpMethod::post;
    CHECK(code_of([&] { http.perform(request); }) == Errc::unreachable);
  }
  SECTION("by the request's own limit, each try") {
    request.time_limit = 200ms;
    CHECK(code_of([&] { http.perform(request); }) == Errc::unreachable);
    CHECK(server.connections() == 4);
  }
  CHECK(std::chrono::steady_clock::now() - began < 8s);
}

TEST_CASE("who waits is let go when the connection closes") {
  RawServer server("", false);
  auto options = quick(server.url());
  options.stall_timeout = 60s;
  auto http = std::make_unique<Http>(options);
  std::atomic<int> interrupted = 0;
  {
    std::vector<std::jthread> waiting;
    for (int i = 0; i < 4; ++i) {
      waiting.emplace_back([&, &h = *http] {
        try {
          h.perform(get("/x"));
        } catch (const Error& e) {
          if (e.code() == Errc::interrupted) ++interrupted;
        }
      });
    }
    const auto until = std::chrono::steady_clock::now() + 5s;
    while (server.connections() < 4 && std::chrono::steady_clock::now() < until) {
      std::this_thread::yield();
    }
    http.reset();
  }
  CHECK(interrupted == 4);
}

TEST_CASE("a sink takes the body piece by piece, and may end it") {
  LocalServer server;
  server->Get("/x", [](const httplib::Request&, httplib::Response& response) {
    response.set_content(std::string(3'000'000, 'x'), "text/plain");
  });
  Http http(quick(server.start()));
  std::size_t taken = 0, most = ~std::size_t{0};
  auto request = get("/x");
  request.sink = [&](ByteView bytes) {
    taken += bytes.size();
    return taken < most;
  };
  CHECK(http.perform(request).body.empty());
  CHECK(taken == 3'000'000);
  taken = 0;
  most = 1000;
  CHECK(code_of([&] { http.perform(request); }) == Errc::interrupted);
}

TEST_CASE("only addresses that keep a secret are taken") {
  const auto opens = [](const std::string& url, bool insecure = false) {
    HttpOptions options;
    options.url = url;
    options.insecure_http = insecure;
    try {
      const Http http(options);
      return true;
    } catch (const Error& e) {
      CHECK(e.code() == Errc::invalid);
      return false;
    }
  };
  CHECK(opens("https://cloud.example.com"));
  CHECK(opens("https://cloud.example.com:8443/prefix/"));
  CHECK(opens("http://127.0.0.1:8000"));
  CHECK(opens("http://127.1.2.3"));
  CHECK(opens("http://localhost"));
  CHECK(opens("http://[::1]:80"));
  CHECK_FALSE(opens("http://cloud.example.com"));
  CHECK_FALSE(opens("http://127.0.0.1.example.com"));
  CHECK_FALSE(opens("http://localhost.example.com"));
  CHECK_FALSE(opens("http://128.0.0.1"));
  CHECK_FALSE(opens("http://[::2]"));
  CHECK(opens("http://cloud.example.com", true));
  CHECK_FALSE(opens("ftp://127.0.0.1"));
  CHECK_FALSE(opens("file:///etc/passwd"));
  CHECK_FALSE(opens("cloud.example.com"));
  CHECK_FALSE(opens(""));
  CHECK_FALSE(opens("https://user:password@cloud.example.com"));
  CHECK_FALSE(opens("https://cloud.example.com/?a=b"));
}

TEST_CASE("a header cannot be broken into two") {
  LocalServer server;
  Http http(quick(server.start()));
  auto request = get("/x");
  request.headers = {"X-A: b\r\nX-C: d"};
  CHECK(code_of([&] { http.perform(request); }) == Errc::invalid);
}

TEST_CASE("a certificate is trusted by its CA and for its host name only") {
  auto pattern = (std::filesystem::temp_directory_path() / "nacre-http-XXXXXX").string();
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  const std::filesystem::path folder = pattern;
  const auto make = [&](const std::string& name, const std::string& host) {
    const auto command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        " -days 2 -subj /CN=test -addext subjectAltName=" +
        host + " -keyout '" + (folder / (name + ".key")).string() + "' -out '" +
        (folder / (name + ".crt")).string() + "' 2>/dev/null";
    REQUIRE(std::system(command.c_str()) == 0);
  };
  make("right", "IP:127.0.0.1");
  make("wrong", "DNS:cloud.example.com");
  const auto reach = [&](const std::string& name, bool trusted) {
    LocalServer server(std::make_unique<httplib::SSLServer>((folder / (name + ".crt")).c_str(),
                                                            (folder / (name + ".key")).c_str()));
    std::atomic<int> asked = 0;
    server->Get("/x", [&](const httplib::Request&, httplib::Response&) { ++asked; });
    auto options = quick(server.start("https"));
    if (trusted) options.ca_file = folder / (name + ".crt");
    Http http(options);
    const auto status = http.perform(get("/x")).status;
    CHECK(asked == 1);
    return status;
  };
  CHECK(reach("right", true) == 200);
  CHECK(code_of([&] { reach("right", false); }) == Errc::unreachable);
  CHECK(code_of([&] { reach("wrong", true); }) == Errc::unreachable);
  auto options = quick("https://127.0.0.1:1");
  options.ca_file = folder / "absent.crt";
  CHECK_THROWS_AS(Http(options).perform(get("/x")), Error);
  std::filesystem::remove_all(folder);
}

TEST_CASE("statuses are told in our words") {
  CHECK(status_error(401) == Errc::denied);
  CHECK(status_error(403) == Errc::denied);
  CHECK(status_error(404) == Errc::not_found);
  CHECK(status_error(409) == Errc::busy);
  CHECK(status_error(443) == Errc::quota);
  CHECK(status_error(444) == Errc::gone);
  CHECK(status_error(500) == Errc::busy);
  HttpReply reply;
  reply.status = 444;
  CHECK_THROWS_WITH(require_ok(reply, "library x"),
                    "library x: the library was deleted on the server (HTTP 444)");
}

// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>

#include <charconv>
#include <csignal>
#include <ostream>
#include <thread>

#include "cli/blocked_signals.hpp"
#include "cli/commands.hpp"
#include "server/server.hpp"

namespace nacre {
namespace {

struct Address {
  std::string host;
  int port = 0;
  bool ipv6 = false;

  [[nodiscard]] bool loopback() const {
    return host == "localhost" || host == "::1" || host.starts_with("127.");
  }
  [[nodiscard]] std::string shown() const { return ipv6 ? "[" + host + "]" : host; }
};

Address parse(const std::string& text) {
  Address address;
  const auto colon = text.rfind(':');
  bool fine = colon != std::string::npos && colon > 0;
  if (fine) {
    address.host = text.substr(0, colon);
    address.ipv6 = address.host.starts_with('[') && address.host.ends_with(']');
    if (address.ipv6) address.host = address.host.substr(1, address.host.size() - 2);
    const auto* end = text.data() + text.size();
    const auto [read, error] = std::from_chars(text.data() + colon + 1, end, address.port);
    fine = error == std::errc() && read == end && address.port >= 0 && address.port <= 65535 &&
           (address.ipv6 || address.host.find(':') == std::string::npos);
  }
  if (!fine)
    throw UsageError("serve: --listen " + text +
                     ": not an address and port; give one like 127.0.0.1:8000 or [::1]:8000");
  return address;
}

// Signals that end the program stop the server instead, as long as this lives.  Made before
// the server's threads, which inherit that they are blocked.
class StopOnSignal {
 public:
  void run(Server& server) {
    std::jthread watcher([this, &server] {
      signals_.wait();
      server.stop();
    });
    // However run() ends, the watcher is woken.
    struct Wake {
      std::jthread& thread;
      // It is blocked in every thread: only sigwait() sees it, and nothing is terminated.
      // NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread,cert-pos44-c)
      ~Wake() { ::pthread_kill(thread.native_handle(), SIGTERM); }
    } const wake{watcher};
    server.run();
  }

 private:
  const BlockedSignals signals_;
};

Exit serve_until_stopped(const ServeOptions& options, const Io& io) {
  const auto address = parse(options.listen);
  if (options.tls_cert.empty() && !address.loopback())
    throw UsageError(
        "serve: without TLS, only on this machine's own address; give --tls-cert and "
        "--tls-key, or listen on 127.0.0.1");
  StopOnSignal signals;
  ServerOptions plan;
  plan.dir = options.folder;
  plan.address = address.host;
  plan.port = address.port;
  if (!options.tls_cert.empty()) {
    plan.tls_cert = options.tls_cert;
    plan.tls_key = options.tls_key;
  }
  if (!options.faults.empty()) plan.faults = options.faults;
  const auto scheme = options.tls_cert.empty() ? "http://" : "https://";
  plan.ready = [&](int port) {
    io.out << "Serving " << options.folder << " at " << scheme << address.shown() << ':' << port
           << "; Ctrl-C ends it" << std::endl;
  };
  Server server(std::move(plan));
  signals.run(server);
  return Exit::ok;
}

}  // namespace

Exit serve(const ServeOptions& options, const Io& io) {
  if (options.add_user.empty() == options.listen.empty())
    throw UsageError("serve: give --listen ADDR:PORT, or --add-user NAME");
  if (!options.listen.empty()) {
    if (options.password.given()) throw UsageError("serve: a password is for --add-user");
    return serve_until_stopped(options, io);
  }
  const auto prompt = "New password of " + options.add_user;
  const auto password =
      options.password.given() ? read_one_secret(options.password, prompt) : ask_new_secret(prompt);
  add_user(options.folder, options.add_user, password);
  io.out << "User " << options.add_user << " can log in.\n";
  return Exit::ok;
}

}  // namespace nacre

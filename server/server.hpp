// SPDX-License-Identifier: Apache-2.0
//
// A small server that Seafile clients take for one: the web API as far as
// they call it, and the sync protocol, over a folder.  For the demo, for tests, and
// for a few people's own use.  Stricter than a real one: ids, names and references of all
// that is sent are checked.
//
//   DIR/storage    as a real server's (remote/object_store.hpp)
//   DIR/users      name and Argon2id hash, a line each, 0600
//   DIR/tokens     hashes of the tokens that were given out, 0600
//   DIR/owners     library and its owner, a line each
//
// The three files are read again when they were changed.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "crypto/secret.hpp"

namespace nacre {

struct ServerOptions {
  std::filesystem::path dir;
  std::string address = "127.0.0.1";
  int port = 0;  // 0: any that is free
  std::optional<std::filesystem::path> tls_cert = std::nullopt, tls_key = std::nullopt;
  std::optional<std::filesystem::path> faults = std::nullopt;  // rules, see server/faults.hpp
  unsigned threads = 128;                    // each open connection holds one, idle or not
  std::function<void(int port)> ready = {};  // it listens
};

class Server {
 public:
  // Throws Error where the folder, the certificate, the rules or the address cannot be used.
  explicit Server(ServerOptions options);
  ~Server();

  void run();            // until stop()
  void stop() noexcept;  // from any thread

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Adds a user or gives him another password.  Throws Error{invalid} for names
// with spaces or control characters.
void add_user(const std::filesystem::path& dir, const std::string& name, const Secret& password);

}  // namespace nacre

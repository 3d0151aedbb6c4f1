// SPDX-License-Identifier: Apache-2.0
//
// A Remote over HTTP(S): the web API and the sync protocol of a Seafile server
// (seafile-protocol, sections 4 and 5), on one libcurl multi loop.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "crypto/secret.hpp"
#include "remote/remote.hpp"

namespace nacre {

// How to reach a server; the same for login and for everything after.
struct ServerAddress {
  std::string url;                               // https://host[:port][/prefix]
  std::optional<std::filesystem::path> ca_file;  // instead of the system's store
  bool insecure_http = false;                    // allow http:// to other than loopback
  std::chrono::seconds connect_timeout{15};
  std::chrono::seconds stall_timeout{60};              // without a byte either way
  std::uint64_t download_limit = 0, upload_limit = 0;  // bytes per second; 0: none
};

// Who this machine is to the server.
struct ClientIdentity {
  ObjectId id;       // random, made once per account
  std::string name;  // the host's
};

struct LoginRequest {
  ServerAddress server;
  ClientIdentity client;
  std::string user;
  const Secret* password = nullptr;  // or an existing token:
  const Secret* token = nullptr;
  std::string one_time_code;  // empty: none
};

struct LoginResult {
  std::string user;  // the account's name there, from account/info; may differ from the login name
  Secret token;      // 40 characters, for the web API
};

// Throws Error{wrong_password} (says when a one-time code is wanted), Error{unreachable}, …
LoginResult log_in(const LoginRequest& request);
void log_out(const ServerAddress& server, const Secret& token);

// What a server tells everybody.
struct ServerFacts {
  std::string version;
  std::optional<std::int64_t> time;  // its clock, seconds since the epoch
  int encryption = 2;                // the newest version that its clients are to make libraries of
};
ServerFacts ask_server(const ServerAddress& server);

struct SeafileOptions {
  ServerAddress server;
  ClientIdentity client;
  std::string user;
  bool unverified_blocks = false;  // accept blocks whose id is not their hash
  std::string client_version;      // "nacre 0.1.0"
};

std::unique_ptr<Remote> open_seafile_remote(const SeafileOptions& options, Secret token);

}  // namespace nacre

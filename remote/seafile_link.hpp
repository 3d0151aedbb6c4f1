// SPDX-License-Identifier: Apache-2.0
//
// Requests to one account of a Seafile server: puts the right token on each,
// and fetches the tokens of libraries, which live in memory only.  For
// seafile_remote.cpp and account.cpp.  Any thread may call any member.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/guarded.hpp"
#include "base/single_flight.hpp"
#include "remote/http.hpp"
#include "remote/seafile_remote.hpp"
#include "remote/wire.hpp"

namespace nacre {

HttpOptions http_options(const ServerAddress& address);

class SeafileLink {
 public:
  SeafileLink(const ServerAddress& address, Secret token);

  // The web API; any answer.
  HttpReply api(HttpRequest request);

  // The sync protocol; `request.path` is what follows /seafhttp.  A refused library token is
  // replaced once, and the request sent again.  Any answer.
  HttpReply sync(const LibraryId& library, HttpRequest request);
  HttpReply sync_without_token(HttpRequest request);

  // Fetches the tokens of those that have none yet, in one request.
  void fetch_tokens(std::span<const LibraryId> libraries);
  void remember(const LibraryId& library, Secret token);

 private:
  using Token = std::shared_ptr<const Secret>;
  Token token(const LibraryId& library, const Token& refused);
  Token fetch_token(const LibraryId& library);

  Http http_;
  const Secret token_;
  [[nodiscard]] Token known_token(const LibraryId& library, const Token& refused) const;

  Guarded<std::unordered_map<LibraryId, Token>> tokens_;
  SingleFlight<LibraryId, Token> flights_;  // however many ask: each answer is one more token there
};

}  // namespace nacre

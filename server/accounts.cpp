// SPDX-License-Identifier: Apache-2.0
#include "server/accounts.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/error.hpp"
#include "crypto/hash.hpp"
#include "crypto/password_hash.hpp"
#include "crypto/random.hpp"
#include "server/server.hpp"

namespace nacre {
namespace {

// A token is 160 random bits: a plain hash of it tells nothing.
std::string hash_of(const std::string& token) {
  return sha1(as_bytes("nacre token " + token)).hex();
}

std::string holder(const std::string& user, const std::optional<LibraryId>& library) {
  return library ? user + " " + library->str() : user;
}

}  // namespace

Accounts::Accounts(std::filesystem::path dir) : dir_(std::move(dir)) {
  std::filesystem::create_directories(dir_);
  tables_.with([&](Tables& tables) {
    tables = {load("users"), load("tokens"), load("owners")};
    return 0;
  });
}

// Lines of a key, a tab, and a value.
Accounts::Table Accounts::load(const char* file) const {
  Table table;
  std::ifstream in(dir_ / file);
  for (std::string line; std::getline(in, line);) {
    const auto tab = line.find('\t');
    if (tab != std::string::npos) table[line.substr(0, tab)] = line.substr(tab + 1);
  }
  return table;
}

void Accounts::save(const char* file, const Table& table) const {
  std::string text;
  for (const auto& [key, value] : table) text += key + "\t" + value + "\n";
  const auto path = dir_ / file, fresh = dir_ / (std::string(file) + ".new");
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written = fd >= 0 &&
                       ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  if (!written)
    throw Error(Errc::full, path.string() + ": cannot be written; is the disk full, is it yours?");
  std::filesystem::rename(fresh, path);
}

void Accounts::set_password(const std::string& user, const Secret& password) {
  const bool odd = user.empty() || std::ranges::any_of(user, [](char c) {
                     return static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
                   });
  if (odd) throw Error(Errc::invalid, "user: a name without spaces is wanted, as me@example.com");
  const auto hash = hash_password(password);
  tables_.with([&](Tables& tables) {
    tables.users[user] = hash;
    save("users", tables.users);
    return 0;
  });
}

bool Accounts::check_password(const std::string& user, const Secret& password) const {
  const auto hash = tables_.with([&](const Tables& tables) {
    const auto found = tables.users.find(user);
    return found == tables.users.end() ? std::string() : found->second;
  });
  return !hash.empty() && verify_password(hash, password);
}

std::string Accounts::give_token(const std::string& user, const std::optional<LibraryId>& library) {
  auto token = random_id().hex();
  tables_.with([&](Tables& tables) {
    tables.tokens[hash_of(token)] = holder(user, library);
    save("tokens", tables.tokens);
    return 0;
  });
  return token;
}

void Accounts::take_token(const std::string& token) {
  tables_.with([&](Tables& tables) {
    tables.tokens.erase(hash_of(token));
    save("tokens", tables.tokens);
    return 0;
  });
}

std::optional<std::string> Accounts::user_of(const std::string& token,
                                             const std::optional<LibraryId>& library) const {
  const auto hash = hash_of(token);
  return tables_.with([&](const Tables& tables) -> std::optional<std::string> {
    const auto found = tables.tokens.find(hash);
    if (found == tables.tokens.end()) return std::nullopt;
    const auto user = found->second.substr(0, found->second.find(' '));
    if (holder(user, library) != found->second) return std::nullopt;
    return user;
  });
}

void Accounts::set_owner(const LibraryId& library, const std::string& user) {
  tables_.with([&](Tables& tables) {
    tables.owners[library.str()] = user;
    save("owners", tables.owners);
    return 0;
  });
}

void Accounts::remove_library(const LibraryId& library) {
  tables_.with([&](Tables& tables) {
    tables.owners.erase(library.str());
    std::erase_if(tables.tokens,
                  [&](const auto& token) { return token.second.ends_with(" " + library.str()); });
    save("owners", tables.owners);
    save("tokens", tables.tokens);
    return 0;
  });
}

std::string Accounts::owner_of(const LibraryId& library) const {
  return tables_.with([&](const Tables& tables) {
    const auto found = tables.owners.find(library.str());
    return found == tables.owners.end() ? std::string() : found->second;
  });
}

std::vector<LibraryId> Accounts::libraries_of(const std::string& user) const {
  return tables_.with([&](const Tables& tables) {
    std::vector<LibraryId> libraries;
    for (const auto& [library, owner] : tables.owners) {
      if (owner != user) continue;
      if (const auto id = LibraryId::parse(library)) libraries.push_back(*id);
    }
    return libraries;
  });
}

void add_user(const std::filesystem::path& dir, const std::string& name, const Secret& password) {
  Accounts(dir).set_password(name, password);
}

}  // namespace nacre

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

template <class F>
auto Accounts::with_tables(F&& f) const {
  return tables_.with([&](Tables& tables) {
    for (auto* file : {&tables.users, &tables.tokens, &tables.owners}) refresh(*file);
    return std::forward<F>(f)(tables);
  });
}

Accounts::Accounts(std::filesystem::path dir) : dir_(std::move(dir)) {
  std::filesystem::create_directories(dir_);
}

// Lines of a key, a tab, and a value.
void Accounts::refresh(File& file) const {
  const auto path = dir_ / file.name;
  const auto stamp = stamp_of(path);
  if (stamp == file.stamp) return;
  Table table;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const auto tab = line.find('\t');
    if (tab != std::string::npos) table[line.substr(0, tab)] = line.substr(tab + 1);
  }
  // Not known is not empty: the next save would make it so.
  if (stamp && (!in.is_open() || in.bad()))
    throw Error(Errc::denied, path.string() + ": cannot be read; is it yours?");
  file.table = std::move(table);
  file.stamp = stamp;
}

void Accounts::save(File& file) const {
  std::string text;
  for (const auto& [key, value] : file.table)
    text.append(key).append("\t").append(value).append("\n");
  const auto path = dir_ / file.name, fresh = dir_ / (std::string(file.name) + ".new");
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written = fd >= 0 &&
                       ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  if (!written)
    throw Error(Errc::full, path.string() + ": cannot be written; is the disk full, is it yours?");
  file.stamp = stamp_of(fresh);  // which the renamed file keeps
  std::filesystem::rename(fresh, path);
}

void Accounts::set_password(const std::string& user, const Secret& password) {
  const bool odd = user.empty() || std::ranges::any_of(user, [](char c) {
                     return static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
                   });
  if (odd) throw Error(Errc::invalid, "user: a name without spaces is wanted, as me@example.com");
  const auto hash = hash_password(password);
  with_tables([&](Tables& tables) {
    tables.users.table[user] = hash;
    save(tables.users);
    return 0;
  });
}

bool Accounts::check_password(const std::string& user, const Secret& password) const {
  const auto hash = with_tables([&](const Tables& tables) {
    const auto found = tables.users.table.find(user);
    return found == tables.users.table.end() ? std::string() : found->second;
  });
  return !hash.empty() && verify_password(hash, password);
}

std::string Accounts::give_token(const std::string& user, const std::optional<LibraryId>& library) {
  auto token = random_id().hex();
  with_tables([&](Tables& tables) {
    tables.tokens.table[hash_of(token)] = holder(user, library);
    save(tables.tokens);
    return 0;
  });
  return token;
}

void Accounts::take_token(const std::string& token) {
  with_tables([&](Tables& tables) {
    tables.tokens.table.erase(hash_of(token));
    save(tables.tokens);
    return 0;
  });
}

std::optional<std::string> Accounts::user_of(const std::string& token,
                                             const std::optional<LibraryId>& library) const {
  const auto hash = hash_of(token);
  return with_tables([&](const Tables& tables) -> std::optional<std::string> {
    const auto found = tables.tokens.table.find(hash);
    if (found == tables.tokens.table.end()) return std::nullopt;
    const auto user = found->second.substr(0, found->second.find(' '));
    if (holder(user, library) != found->second) return std::nullopt;
    return user;
  });
}

void Accounts::set_owner(const LibraryId& library, const std::string& user) {
  with_tables([&](Tables& tables) {
    tables.owners.table[library.str()] = user;
    save(tables.owners);
    return 0;
  });
}

void Accounts::remove_library(const LibraryId& library) {
  with_tables([&](Tables& tables) {
    tables.owners.table.erase(library.str());
    std::erase_if(tables.tokens.table,
                  [&](const auto& token) { return token.second.ends_with(" " + library.str()); });
    save(tables.owners);
    save(tables.tokens);
    return 0;
  });
}

std::string Accounts::owner_of(const LibraryId& library) const {
  return with_tables([&](const Tables& tables) {
    const auto found = tables.owners.table.find(library.str());
    return found == tables.owners.table.end() ? std::string() : found->second;
  });
}

std::vector<LibraryId> Accounts::libraries_of(const std::string& user) const {
  return with_tables([&](const Tables& tables) {
    std::vector<LibraryId> libraries;
    for (const auto& [library, owner] : tables.owners.table) {
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

// SPDX-License-Identifier: Apache-2.0
//
// Who may do what on `nacre serve`: users, the tokens they were given, and the
// owners of libraries.  Small text files, written whole and renamed into place.
// Any thread may call any member.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/guarded.hpp"
#include "base/ids.hpp"
#include "crypto/secret.hpp"

namespace nacre {

class Accounts {
 public:
  explicit Accounts(std::filesystem::path dir);

  void set_password(const std::string& user, const Secret& password);
  [[nodiscard]] bool check_password(const std::string& user, const Secret& password) const;

  // 40 hex digits, of which only a hash is kept.  Without a library: for the web API.
  std::string give_token(const std::string& user, const std::optional<LibraryId>& library);
  void take_token(const std::string& token);
  // Whose token it is; nullopt for an unknown one, or one for something else.
  [[nodiscard]] std::optional<std::string> user_of(const std::string& token,
                                                   const std::optional<LibraryId>& library) const;

  void set_owner(const LibraryId& library, const std::string& user);
  void remove_library(const LibraryId& library);
  [[nodiscard]] std::string owner_of(const LibraryId& library) const;  // empty: nobody
  [[nodiscard]] std::vector<LibraryId> libraries_of(const std::string& user) const;

 private:
  struct Tables {
    std::map<std::string, std::string> users;   // name, hash
    std::map<std::string, std::string> tokens;  // hash of the token, "user" or "user library"
    std::map<std::string, std::string> owners;  // library, user
  };
  using Table = std::map<std::string, std::string>;
  void save(const char* file, const Table& table) const;
  [[nodiscard]] Table load(const char* file) const;

  const std::filesystem::path dir_;
  Guarded<Tables> tables_;
};

}  // namespace nacre

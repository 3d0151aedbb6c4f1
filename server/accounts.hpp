// SPDX-License-Identifier: Apache-2.0
//
// Who may do what on `nacre serve`: users, the tokens they were given, and the
// owners of libraries.  Small text files, written whole and renamed into place, and read again
// when somebody else changed them: taking a line out of a file is enough to turn a user away.
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
#include "server/file_stamp.hpp"

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
  using Table = std::map<std::string, std::string>;
  struct File {
    const char* name;
    Table table;
    std::optional<FileStamp> stamp;  // of what was read or written
  };
  struct Tables {
    File users{"users", {}, {}};    // name, hash
    File tokens{"tokens", {}, {}};  // hash of the token, "user" or "user library"
    File owners{"owners", {}, {}};  // library, user
  };
  // Runs f on the tables as they are on the disk.
  template <class F>
  auto with_tables(F&& f) const;
  void refresh(File& file) const;
  void save(File& file) const;

  const std::filesystem::path dir_;
  mutable Guarded<Tables> tables_;
};

}  // namespace nacre

// SPDX-License-Identifier: Apache-2.0
//
// How the key of each encrypted library was told when it was opened here for the first time:
// a server that tells it otherwise later is not followed before a person has said so.
// One sealed file for each library (cache/FORMAT.md), as commands write them beside a daemon.
//
// Any thread may call any member.  Throws what remote/disk_file.hpp does.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>

#include "base/ids.hpp"
#include "crypto/library_key.hpp"
#include "crypto/seal.hpp"

namespace nacre {

struct KnownKey {
  Encryption how;
  std::optional<Encryption> next;         // being published by this machine
  std::array<std::uint8_t, 16> tag = {};  // of the key itself

  [[nodiscard]] bool allows(const Encryption& told) const { return told == how || told == next; }
};

class KnownKeys {
 public:
  KnownKeys(const std::filesystem::path& state_dir, const SealKey& device_key);

  // Error{corrupt} where there is one that does not open.
  [[nodiscard]] std::optional<KnownKey> find(const LibraryId& library) const;
  // `next` is what this machine is about to publish: as good as `how` from now on.
  void remember(const LibraryId& library, const Encryption& how, const LibraryKey& key,
                const std::optional<Encryption>& next = std::nullopt) const;

  // Throws Error{denied} where the key is known, and `told` is not what is known of it.
  // `name` is the library's.
  void check(const LibraryId& library, const std::string& name, const Encryption& told) const;
  // The same for a person who accepts what another password brings with it: only what no
  // change of a password explains is refused.
  void check_accepted(const LibraryId& library, const std::string& name, const Encryption& told,
                      const LibraryKey& opened) const;

 private:
  [[nodiscard]] std::array<std::uint8_t, 16> tag_of(const LibraryKey& key) const;
  [[nodiscard]] std::filesystem::path file_of(const LibraryId& library) const;

  std::filesystem::path folder_;
  SealKey key_;
};

// What `told` changes of `known`, as a sentence has it: "its password hash was argon2id
// (2,102400,8) and is pbkdf2 (1000 rounds), which is weaker".
std::string what_changed(const Encryption& known, const Encryption& told);

}  // namespace nacre

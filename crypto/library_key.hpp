// SPDX-License-Identifier: Apache-2.0
//
// The encryption of Seafile libraries: versions 2, 3 and 4, with the classic
// magic or the newer password hashes (seafile-protocol, section 3; blocks 2.5).
// Pure functions over bytes; every LibraryKey member may be called by any
// thread at any time.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "crypto/secret.hpp"

namespace nacre {

// What commits and download-info say of a library's encryption, as they spell
// it (hex text; empty where absent).  version 0: a plain library.
struct Encryption {
  int version = 0;
  std::string magic;       // 64 digits; empty with pwd_hash
  std::string random_key;  // 96 digits: the wrapped 32-byte secret; "key" in commits
  std::string salt;        // 64 digits, version 3 and later
  std::string pwd_hash;    // 64 digits
  std::string pwd_hash_algo;
  std::string pwd_hash_params;

  [[nodiscard]] bool encrypted() const noexcept { return version != 0; }
  friend bool operator==(const Encryption&, const Encryption&) = default;
};

// Encrypts and decrypts the blocks of one unlocked library.
class LibraryKey {
 public:
  static constexpr std::size_t cipher_block = 16;

  // `key` 32 bytes, `iv` 16 bytes; throws Error{unsupported} for other versions than 2, 3, 4.
  LibraryKey(int version, Secret key, Secret iv);

  // Stored length of `plain` plaintext bytes: 1 to 16 more (PKCS#7).
  static constexpr std::size_t stored_size(std::size_t plain) noexcept {
    return (plain / cipher_block + 1) * cipher_block;
  }

  // Writes stored_size(plain.size()) bytes to `out`, which may begin where `plain` does.
  void encrypt(ByteView plain, MutableByteView out) const;

  // A whole block.  Throws Error{corrupt} where length or padding are not
  // exactly as encrypt() makes them.
  [[nodiscard]] Bytes decrypt(ByteView stored) const;

  // Any aligned part of a block, without touching the padding: `stored` is a
  // multiple of 16 bytes; `before` are the 16 stored bytes that precede it, or
  // empty at the block's start.  `out` has stored.size() bytes, and may be `stored`.
  void decrypt_part(ByteView before, ByteView stored, MutableByteView out) const;

  // How many bytes of padding end a block, 1 to 16, from its last 16 decrypted
  // bytes.  Throws Error{corrupt}.
  static std::size_t padding(ByteView last16);

  [[nodiscard]] int version() const noexcept { return version_; }

  // Key and IV in one, 48 bytes, for vectors only.
  [[nodiscard]] Secret export_bytes() const;

 private:
  int version_;
  Secret key_, iv_;
};

// The key, or nullopt for a wrong password.  Throws Error{unsupported} for
// versions other than 2 to 4, Error{corrupt} where `how` does not parse, is out of
// bounds (hostile KDF parameters), or where the password is right and
// random_key does not open.
std::optional<LibraryKey> unlock(const LibraryId& library, const Encryption& how,
                                 const Secret& password);

struct NewLibraryKey {
  Encryption encryption;
  LibraryKey key;
};

// The same key behind another password; nullopt where `old_password` is wrong.  Throws as
// unlock() does.  Who has the old password and what it opened keeps the key.
std::optional<Encryption> change_password(const LibraryId& library, const Encryption& how,
                                          const Secret& old_password, const Secret& new_password);

// Fresh key material for a library to be created with `version` 2 or 4.
NewLibraryKey make_library_key(const LibraryId& library, int version, const Secret& password);

}  // namespace nacre

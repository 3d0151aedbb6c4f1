// SPDX-License-Identifier: Apache-2.0
//
// What nacre itself keeps on disk is sealed: XChaCha20-Poly1305 under the
// device key, bound to the place where it is kept.  Stored form: 24 bytes
// random nonce, ciphertext, 16 bytes tag.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"

namespace nacre {

class SealKey {
 public:
  static constexpr std::size_t size = 32;
  static constexpr std::size_t overhead = 24 + 16;

  explicit SealKey(Secret key);

  // `place` is authenticated, not stored: open() wants the same.
  // Writes plain.size() + overhead bytes to `out`.
  void seal(ByteView place, ByteView plain, MutableByteView out) const;
  [[nodiscard]] Bytes seal(ByteView place, ByteView plain) const;

  // Nullopt where the bytes are not what was sealed for this place.
  [[nodiscard]] std::optional<Bytes> open(ByteView place, ByteView sealed) const;
  // The same into `out` of sealed.size() - overhead bytes; false where it does not open.
  [[nodiscard]] bool open(ByteView place, ByteView sealed, MutableByteView out) const;
  // The first bytes into `head`, the others into `rest`.
  [[nodiscard]] bool open(ByteView place, ByteView sealed, MutableByteView head,
                          MutableByteView rest) const;

  // A seal of nothing, of overhead bytes, for text that is kept in clear beside it: false for any
  // other text or place.
  void prove(ByteView place, ByteView text, MutableByteView proof) const;
  [[nodiscard]] bool proves(ByteView place, ByteView text, ByteView proof) const;

  // A keyed BLAKE2b of 16 bytes: names a name without telling it.
  [[nodiscard]] std::array<std::uint8_t, 16> tag(ByteView text) const;

  // A further key for another use, derived by name; the same name gives the same key.
  [[nodiscard]] SealKey derive(std::string_view use) const;

 private:
  Secret key_;        // for sealing
  Secret tag_key_;    // derived, for tag()
  Secret proof_key_;  // derived, for prove()
};

}  // namespace nacre

// SPDX-License-Identifier: Apache-2.0
#include "crypto/seal.hpp"

#include <sodium.h>

#include <utility>

#include "base/error.hpp"

namespace nacre {
namespace {

constexpr std::size_t nonce_size = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t tag_size = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(SealKey::overhead == nonce_size + tag_size);
static_assert(SealKey::size == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

Secret keyed_hash(const Secret& key, std::string_view text) {
  Secret out(SealKey::size);
  crypto_generichash(out.bytes().data(), out.bytes().size(), as_bytes(text).data(), text.size(),
                     key.bytes().data(), key.bytes().size());
  return out;
}

}  // namespace

SealKey::SealKey(Secret key) : key_(std::move(key)), tag_key_(keyed_hash(key_, "nacre tag")) {
  if (key_.bytes().size() != size) throw Error(Errc::internal, "seal: a key of the wrong size");
}

void SealKey::seal(ByteView place, ByteView plain, MutableByteView out) const {
  randombytes_buf(out.data(), nonce_size);
  crypto_aead_xchacha20poly1305_ietf_encrypt(out.data() + nonce_size, nullptr, plain.data(),
                                             plain.size(), place.data(), place.size(), nullptr,
                                             out.data(), key_.bytes().data());
}

Bytes SealKey::seal(ByteView place, ByteView plain) const {
  Bytes out(plain.size() + overhead);
  seal(place, plain, out);
  return out;
}

bool SealKey::open(ByteView place, ByteView sealed, MutableByteView out) const {
  if (sealed.size() < overhead || out.size() != sealed.size() - overhead) return false;
  return crypto_aead_xchacha20poly1305_ietf_decrypt(
             out.data(), nullptr, nullptr, sealed.data() + nonce_size, sealed.size() - nonce_size,
             place.data(), place.size(), sealed.data(), key_.bytes().data()) == 0;
}

std::optional<Bytes> SealKey::open(ByteView place, ByteView sealed) const {
  if (sealed.size() < overhead) return std::nullopt;
  Bytes plain(sealed.size() - overhead);
  if (!open(place, sealed, plain)) return std::nullopt;
  return plain;
}

std::array<std::uint8_t, 16> SealKey::tag(ByteView text) const {
  std::array<std::uint8_t, 16> out;
  crypto_generichash(out.data(), out.size(), text.data(), text.size(), tag_key_.bytes().data(),
                     tag_key_.bytes().size());
  return out;
}

SealKey SealKey::derive(std::string_view use) const {
  return SealKey(keyed_hash(key_, "nacre use " + std::string(use)));
}

}  // namespace nacre

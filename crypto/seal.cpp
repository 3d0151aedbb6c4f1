// SPDX-License-Identifier: Apache-2.0
#include "crypto/seal.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <climits>
#include <memory>
#include <new>
#include <utility>

#include "base/error.hpp"

namespace nacre {
namespace {

constexpr std::size_t nonce_size = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t tag_size = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(SealKey::overhead == nonce_size + tag_size);
static_assert(SealKey::size == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

void require(int rc) {
  if (rc != 1) throw Error(Errc::internal, "seal: OpenSSL refused; is the default provider there?");
}

// XChaCha20-Poly1305 is ChaCha20-Poly1305 under a key of its own for each long nonce; OpenSSL's
// is several times as fast as libsodium's.
class XChaCha {
 public:
  enum class Way : int { open = 0, seal = 1 };

  XChaCha(const Secret& key, ByteView nonce, Way way) {
    static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
    if (context() == nullptr) throw std::bad_alloc();
    std::array<std::uint8_t, crypto_core_hchacha20_OUTPUTBYTES> nonce_key;
    crypto_core_hchacha20(nonce_key.data(), nonce.data(), key.bytes().data(), nullptr);
    std::array<std::uint8_t, 12> rest = {};  // four zeros, and the nonce's last eight bytes
    std::ranges::copy(nonce.last(8), rest.begin() + 4);
    const int rc = EVP_CipherInit_ex2(context(), cipher, nonce_key.data(), rest.data(),
                                      static_cast<int>(way), nullptr);
    wipe(nonce_key);
    require(rc);
  }
  ~XChaCha() { EVP_CIPHER_CTX_reset(context()); }  // wipes the key
  XChaCha(const XChaCha&) = delete;
  XChaCha& operator=(const XChaCha&) = delete;

  void bind(ByteView text) { update(text, nullptr); }
  void run(ByteView in, MutableByteView out) { update(in, out.data()); }

  void write_tag(MutableByteView tag) {
    int none = 0;
    require(EVP_CipherFinal_ex(context(), tag.data(), &none));
    require(EVP_CIPHER_CTX_ctrl(context(), EVP_CTRL_AEAD_GET_TAG, tag_size, tag.data()));
  }
  bool fits(ByteView tag) {
    std::array<std::uint8_t, tag_size> expected;
    std::ranges::copy(tag, expected.begin());
    int none = 0;
    require(EVP_CIPHER_CTX_ctrl(context(), EVP_CTRL_AEAD_SET_TAG, tag_size, expected.data()));
    return EVP_CipherFinal_ex(context(), expected.data(), &none) == 1;
  }

 private:
  static EVP_CIPHER_CTX* context() {
    struct Free {
      void operator()(EVP_CIPHER_CTX* c) const noexcept { EVP_CIPHER_CTX_free(c); }
    };
    static thread_local const std::unique_ptr<EVP_CIPHER_CTX, Free> mine(EVP_CIPHER_CTX_new());
    return mine.get();
  }
  void update(ByteView in, std::uint8_t* out) {
    if (in.empty()) return;
    if (in.size() > INT_MAX) throw Error(Errc::internal, "seal: too much at once");
    int written = 0;
    require(EVP_CipherUpdate(context(), out, &written, in.data(), static_cast<int>(in.size())));
  }
};

// OpenSSL's generator, of each thread its own: libsodium's asks the system each time.
MutableByteView fresh_nonce(MutableByteView nonce) {
  require(RAND_bytes(nonce.data(), static_cast<int>(nonce.size())));
  return nonce;
}

Secret keyed_hash(const Secret& key, std::string_view text) {
  Secret out(SealKey::size);
  crypto_generichash(out.bytes().data(), out.bytes().size(), as_bytes(text).data(), text.size(),
                     key.bytes().data(), key.bytes().size());
  return out;
}

// The size keeps what ends the place from being what begins the text.
void bind_both(XChaCha& cipher, ByteView place, ByteView text) {
  std::array<std::uint8_t, 8> size;
  for (std::size_t i = 0; i < size.size(); ++i)
    size[i] = static_cast<std::uint8_t>(std::uint64_t{place.size()} >> 8 * i);
  cipher.bind(place);
  cipher.bind(text);
  cipher.bind(size);
}

}  // namespace

SealKey::SealKey(Secret key)
    : key_(std::move(key)),
      tag_key_(keyed_hash(key_, "nacre tag")),
      proof_key_(keyed_hash(key_, "nacre proof")) {
  if (key_.bytes().size() != size) throw Error(Errc::internal, "seal: a key of the wrong size");
}

void SealKey::seal(ByteView place, ByteView plain, MutableByteView out) const {
  const auto nonce = fresh_nonce(out.first(nonce_size));
  XChaCha cipher(key_, nonce, XChaCha::Way::seal);
  cipher.bind(place);
  cipher.run(plain, out.subspan(nonce_size, plain.size()));
  cipher.write_tag(out.last(tag_size));
}

Bytes SealKey::seal(ByteView place, ByteView plain) const {
  Bytes out(plain.size() + overhead);
  seal(place, plain, out);
  return out;
}

bool SealKey::open(ByteView place, ByteView sealed, MutableByteView out) const {
  return open(place, sealed, {}, out);
}

bool SealKey::open(ByteView place, ByteView sealed, MutableByteView head,
                   MutableByteView rest) const {
  if (sealed.size() < overhead || head.size() + rest.size() != sealed.size() - overhead)
    return false;
  XChaCha cipher(key_, sealed.first(nonce_size), XChaCha::Way::open);
  cipher.bind(place);
  cipher.run(sealed.subspan(nonce_size, head.size()), head);
  cipher.run(sealed.subspan(nonce_size + head.size(), rest.size()), rest);
  if (cipher.fits(sealed.last(tag_size))) return true;
  wipe(head);
  wipe(rest);
  return false;
}

std::optional<Bytes> SealKey::open(ByteView place, ByteView sealed) const {
  if (sealed.size() < overhead) return std::nullopt;
  Bytes plain(sealed.size() - overhead);
  if (!open(place, sealed, plain)) return std::nullopt;
  return plain;
}

void SealKey::prove(ByteView place, ByteView text, MutableByteView proof) const {
  const auto nonce = fresh_nonce(proof.first(nonce_size));
  XChaCha cipher(proof_key_, nonce, XChaCha::Way::seal);
  bind_both(cipher, place, text);
  cipher.write_tag(proof.last(tag_size));
}

bool SealKey::proves(ByteView place, ByteView text, ByteView proof) const {
  if (proof.size() != overhead) return false;
  XChaCha cipher(proof_key_, proof.first(nonce_size), XChaCha::Way::open);
  bind_both(cipher, place, text);
  return cipher.fits(proof.last(tag_size));
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

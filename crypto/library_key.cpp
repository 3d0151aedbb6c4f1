// SPDX-License-Identifier: Apache-2.0
#include "crypto/library_key.hpp"

#include <argon2.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <climits>
#include <memory>
#include <new>
#include <utility>

#include "base/error.hpp"
#include "crypto/verifier.hpp"

namespace nacre {
namespace {

constexpr std::size_t key_size = 32, iv_size = 16, secret_size = 32;
constexpr std::array<std::uint8_t, 8> fixed_salt = {0xda, 0x90, 0x45, 0xc3, 0x06, 0xc7, 0xcc, 0x26};

// Bounds on what a server can make us compute.
constexpr std::uint32_t max_rounds = 10'000'000;
constexpr std::uint32_t max_argon2_time = 64, max_argon2_lanes = 64;
constexpr std::uint32_t max_argon2_kib = 1U << 20U;

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

[[noreturn]] void cipher_failed() {
  throw Error(Errc::internal, "cipher: OpenSSL refused; is the default provider there?");
}

const EVP_CIPHER* cipher_of(int version) {
  return version == 3 ? EVP_aes_128_ecb() : EVP_aes_256_cbc();
}

// One pass over whole cipher blocks, without padding.
void run_cipher(int version, bool encrypting, ByteView key, ByteView iv, ByteView in,
                MutableByteView out) {
  thread_local const CipherContext context(EVP_CIPHER_CTX_new());
  if (!context) throw std::bad_alloc();
  if (EVP_CipherInit_ex(context.get(), cipher_of(version), nullptr, key.data(), iv.data(),
                        encrypting ? 1 : 0) != 1)
    cipher_failed();
  EVP_CIPHER_CTX_set_padding(context.get(), 0);
  constexpr std::size_t most = INT_MAX / LibraryKey::cipher_block * LibraryKey::cipher_block;
  for (std::size_t done = 0; done < in.size();) {
    const auto part = std::min(most, in.size() - done);
    int written = 0;
    if (EVP_CipherUpdate(context.get(), out.data() + done, &written, in.data() + done,
                         static_cast<int>(part)) != 1 ||
        static_cast<std::size_t>(written) != part)
      cipher_failed();
    done += part;
  }
  // Wipes the key schedule.
  EVP_CIPHER_CTX_reset(context.get());
}

void pbkdf2(ByteView data, ByteView salt, std::uint32_t rounds, MutableByteView out) {
  if (PKCS5_PBKDF2_HMAC(reinterpret_cast<const char*>(data.data()), static_cast<int>(data.size()),
                        salt.data(), static_cast<int>(salt.size()), static_cast<int>(rounds),
                        EVP_sha256(), static_cast<int>(out.size()), out.data()) != 1)
    throw Error(Errc::internal, "key derivation: OpenSSL refused");
}

struct KeyAndIv {
  Secret key{key_size}, iv{iv_size};
};

KeyAndIv derive(ByteView data, ByteView salt) {
  KeyAndIv made;
  pbkdf2(data, salt, 1000, made.key.bytes());
  pbkdf2(made.key.bytes(), salt, 10, made.iv.bytes());
  return made;
}

Secret concatenated(const LibraryId& library, const Secret& password) {
  const auto id = as_bytes(library.text());
  Secret both(id.size() + password.bytes().size());
  std::ranges::copy(id, both.bytes().begin());
  std::ranges::copy(password.bytes(), both.bytes().subspan(id.size()).begin());
  return both;
}

Error malformed(const LibraryId& library, const char* what) {
  return Error(Errc::corrupt, "library " + library.str() + ": its " + what +
                                  " is malformed; ask who runs the server");
}

Bytes salt_of(const LibraryId& library, const Encryption& how) {
  if (how.version == 2) return Bytes(fixed_salt.begin(), fixed_salt.end());
  auto salt = from_hex(how.salt);
  if (!salt || salt->size() != 32) throw malformed(library, "salt");
  return std::move(*salt);
}

void check_bounds(const LibraryId& library, std::uint32_t value, std::uint32_t most) {
  if (value > most)
    throw Error(Errc::corrupt, "library " + library.str() +
                                   ": its password hash asks for more work than any honest "
                                   "server would; ask who runs the server");
}

// The verifier of newer servers (seafile-protocol, section 3.3).
void hash_with(const LibraryId& library, const Encryption& how, ByteView data,
               MutableByteView out) {
  auto salt = salt_of(library, how);
  salt.resize(32);  // version 2: the fixed salt and zeros
  if (how.pwd_hash_algo == "pbkdf2_sha256") {
    const auto rounds = pbkdf2_rounds(how.pwd_hash_params);
    check_bounds(library, rounds, max_rounds);
    pbkdf2(data, salt, rounds, out);
    return;
  }
  if (how.pwd_hash_algo != "argon2id")
    throw Error(Errc::unsupported, "library " + library.str() + ": password hash '" +
                                       how.pwd_hash_algo + "' is not known here; update nacre");
  const auto [time, kib, lanes] = argon2_cost(how.pwd_hash_params);
  check_bounds(library, time, max_argon2_time);
  check_bounds(library, kib, max_argon2_kib);
  check_bounds(library, lanes, max_argon2_lanes);
  const int rc = argon2id_hash_raw(time, kib, lanes, data.data(), data.size(), salt.data(),
                                   salt.size(), out.data(), out.size());
  if (rc == ARGON2_MEMORY_ALLOCATION_ERROR) throw std::bad_alloc();
  if (rc != ARGON2_OK) throw malformed(library, "set of password hash parameters");
}

Secret verifier(const LibraryId& library, const std::string& hex, const char* what) {
  const auto bytes = from_hex(hex);
  if (!bytes || bytes->size() != 32) throw malformed(library, what);
  return Secret::copy_of(*bytes);
}

bool password_matches(const LibraryId& library, const Encryption& how, const Secret& password) {
  const auto data = concatenated(library, password);
  if (how.magic.empty()) {
    const auto expected = verifier(library, how.pwd_hash, "password hash");
    Secret hash(32);
    hash_with(library, how, data.bytes(), hash.bytes());
    return hash == expected;
  }
  const auto expected = verifier(library, how.magic, "magic");
  return derive(data.bytes(), salt_of(library, how)).key == expected;
}

void check_version(int version) {
  if (version >= 2 && version <= 4) return;
  throw Error(Errc::unsupported,
              "encryption version " + std::to_string(version) +
                  ": not served here; copy the files to a library of today's version");
}

LibraryKey wrapping_key(int version, ByteView salt, const Secret& password) {
  auto outer = derive(password.bytes(), salt);
  return LibraryKey(version, std::move(outer.key), std::move(outer.iv));
}

// What the library's key is made of; nullopt for a wrong password.
std::optional<Secret> open_secret(const LibraryId& library, const Encryption& how,
                                  const Secret& password) {
  check_version(how.version);
  const auto wrapped = from_hex(how.random_key);
  if (!wrapped || wrapped->size() != LibraryKey::stored_size(secret_size))
    throw malformed(library, "random key");
  if (!password_matches(library, how, password)) return std::nullopt;
  Secret opened(wrapped->size());
  wrapping_key(how.version, salt_of(library, how), password)
      .decrypt_part({}, *wrapped, opened.bytes());
  if (LibraryKey::padding(opened.bytes().last(LibraryKey::cipher_block)) !=
      wrapped->size() - secret_size)
    throw malformed(library, "random key");
  return Secret::copy_of(opened.bytes().first(secret_size));
}

// Verifier and wrapped secret, in the way that `how` has them already.
void set_password(const LibraryId& library, Encryption& how, const Secret& secret,
                  const Secret& password) {
  const auto salt = salt_of(library, how);
  const auto both = concatenated(library, password);
  if (how.pwd_hash.empty()) {
    how.magic = to_hex(derive(both.bytes(), salt).key.bytes());
  } else {
    Secret hash(32);
    hash_with(library, how, both.bytes(), hash.bytes());
    how.pwd_hash = to_hex(hash.bytes());
  }
  Bytes wrapped(LibraryKey::stored_size(secret_size));
  wrapping_key(how.version, salt, password).encrypt(secret.bytes(), wrapped);
  how.random_key = to_hex(wrapped);
}

}  // namespace

LibraryKey::LibraryKey(int version, Secret key, Secret iv)
    : version_(version), key_(std::move(key)), iv_(std::move(iv)) {
  check_version(version);
  if (key_.bytes().size() != key_size || iv_.bytes().size() != iv_size)
    throw Error(Errc::internal, "library key: wrong size");
}

void LibraryKey::encrypt(ByteView plain, MutableByteView out) const {
  const auto whole = plain.size() / cipher_block * cipher_block;
  std::array<std::uint8_t, cipher_block> last;
  last.fill(static_cast<std::uint8_t>(cipher_block - (plain.size() - whole)));
  std::ranges::copy(plain.subspan(whole), last.begin());
  run_cipher(version_, true, key_.bytes(), iv_.bytes(), plain.first(whole), out.first(whole));
  const auto before = whole == 0 ? ByteView(iv_.bytes())
                                 : ByteView(out).subspan(whole - cipher_block, cipher_block);
  run_cipher(version_, true, key_.bytes(), before, last, out.subspan(whole, cipher_block));
}

Bytes LibraryKey::decrypt(ByteView stored) const {
  if (stored.empty() || stored.size() % cipher_block != 0)
    throw Error(Errc::corrupt, "block: not a whole number of cipher blocks");
  Bytes plain(stored.size());
  decrypt_part({}, stored, plain);
  plain.resize(plain.size() - padding(ByteView(plain).last(cipher_block)));
  return plain;
}

void LibraryKey::decrypt_part(ByteView before, ByteView stored, MutableByteView out) const {
  if (stored.size() % cipher_block != 0 || out.size() != stored.size() ||
      (!before.empty() && before.size() != cipher_block))
    throw Error(Errc::internal, "decrypt: not aligned to cipher blocks");
  if (stored.empty()) return;
  run_cipher(version_, false, key_.bytes(), before.empty() ? iv_.bytes() : before, stored, out);
}

std::size_t LibraryKey::padding(ByteView last16) {
  const std::size_t count = last16.size() == cipher_block ? last16.back() : 0;
  const bool right = count >= 1 && count <= cipher_block &&
                     std::ranges::all_of(last16.last(std::min(count, last16.size())),
                                         [&](std::uint8_t byte) { return byte == count; });
  if (!right)
    throw Error(Errc::corrupt,
                "block: its padding is wrong, it was damaged or made with another key");
  return count;
}

Secret LibraryKey::export_bytes() const {
  Secret both(key_size + iv_size);
  std::ranges::copy(key_.bytes(), both.bytes().begin());
  std::ranges::copy(iv_.bytes(), both.bytes().subspan(key_size).begin());
  return both;
}

std::optional<LibraryKey> unlock(const LibraryId& library, const Encryption& how,
                                 const Secret& password) {
  const auto secret = open_secret(library, how, password);
  if (!secret) return std::nullopt;
  auto inner = derive(secret->bytes(), salt_of(library, how));
  return LibraryKey(how.version, std::move(inner.key), std::move(inner.iv));
}

std::optional<Encryption> change_password(const LibraryId& library, const Encryption& how,
                                          const Secret& old_password, const Secret& new_password) {
  const auto secret = open_secret(library, how, old_password);
  if (!secret) return std::nullopt;
  auto changed = how;
  set_password(library, changed, *secret, new_password);
  return changed;
}

NewLibraryKey make_library_key(const LibraryId& library, int version, const Secret& password) {
  if (version != 2 && version != 4)
    throw Error(Errc::unsupported, "encryption version " + std::to_string(version) +
                                       ": new libraries are made with 2 or 4");
  Encryption how;
  how.version = version;
  if (version == 4) how.salt = to_hex(Secret::random(32).bytes());
  const auto secret = Secret::random(secret_size);
  set_password(library, how, secret, password);
  auto inner = derive(secret.bytes(), salt_of(library, how));
  return {std::move(how), LibraryKey(version, std::move(inner.key), std::move(inner.iv))};
}

}  // namespace nacre

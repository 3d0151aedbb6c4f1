// SPDX-License-Identifier: Apache-2.0
#include "fs/known_keys.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "crypto/verifier.hpp"
#include "fs/record_bytes.hpp"
#include "remote/disk_file.hpp"

namespace nacre {
namespace {

constexpr std::size_t most_bytes = 64U << 10U;

void write_encryption(RecordWriter& out, const Encryption& how) {
  out.number(static_cast<std::uint8_t>(how.version));
  for (const auto* text : {&how.magic, &how.random_key, &how.salt, &how.pwd_hash,
                           &how.pwd_hash_algo, &how.pwd_hash_params})
    out.text(*text);
}

Encryption read_encryption(RecordReader& in) {
  Encryption how;
  how.version = in.number<std::uint8_t>();
  for (auto* text : {&how.magic, &how.random_key, &how.salt, &how.pwd_hash, &how.pwd_hash_algo,
                     &how.pwd_hash_params})
    *text = in.text();
  return how;
}

// How a password is checked, as people know it.
std::string verifier_text(const Encryption& how) {
  if (how.pwd_hash.empty()) return "pbkdf2 (1000 rounds)";
  return how.pwd_hash_algo + " (" + how.pwd_hash_params + ")";
}

// No change of a password does that.
bool is_another_way(const Encryption& known, const Encryption& told) {
  return known.version != told.version || known.salt != told.salt;
}

}  // namespace

std::string what_changed(const Encryption& known, const Encryption& told) {
  const auto became = [](const std::string& before, const std::string& after) {
    return " was " + before + " and is " + after;
  };
  if (known.version != told.version)
    return "its version of encryption" +
           became(std::to_string(known.version), std::to_string(told.version));
  if (known.salt != told.salt) return "its salt is another";
  if (verifier_text(known) != verifier_text(told)) {
    const bool weaker = verifier_rounds(told) < verifier_rounds(known);
    return "its password hash" + became(verifier_text(known), verifier_text(told)) +
           (weaker ? ", which is weaker" : "");
  }
  const bool same_verifier = known.magic == told.magic && known.pwd_hash == told.pwd_hash;
  return same_verifier ? "its key is wrapped otherwise for the same password"
                       : "it is for another password";
}

KnownKeys::KnownKeys(const std::filesystem::path& state_dir, const SealKey& device_key)
    : folder_(state_dir / "keys"), key_(device_key.derive("known keys")) {}

std::filesystem::path KnownKeys::file_of(const LibraryId& library) const {
  return folder_ / library.str();
}

std::array<std::uint8_t, 16> KnownKeys::tag_of(const LibraryKey& key) const {
  return key_.tag(key.export_bytes().bytes());
}

std::optional<KnownKey> KnownKeys::find(const LibraryId& library) const {
  const auto path = file_of(library);
  const auto sealed = read_whole_file(path, most_bytes);
  if (!sealed) return std::nullopt;
  const auto plain = key_.open(as_bytes(library.text()), *sealed);
  if (!plain)
    throw Error(Errc::corrupt, path.string() +
                                   ": damaged; what is known of this library's key cannot be "
                                   "told; remove the file if nobody but you can have done that");
  RecordReader in(*plain);
  KnownKey known;
  known.how = read_encryption(in);
  if (in.number<std::uint8_t>() != 0) known.next = read_encryption(in);
  std::ranges::copy(in.raw(known.tag.size()), known.tag.begin());
  in.finish();
  return known;
}

void KnownKeys::remember(const LibraryId& library, const Encryption& how, const LibraryKey& key,
                         const std::optional<Encryption>& next) const {
  RecordWriter out;
  write_encryption(out, how);
  out.number(static_cast<std::uint8_t>(next.has_value()));
  if (next) write_encryption(out, *next);
  const auto plain = std::move(out.raw(tag_of(key))).take();
  write_whole_file(file_of(library), key_.seal(as_bytes(library.text()), plain), true);
}

void KnownKeys::check(const LibraryId& library, const std::string& name,
                      const Encryption& told) const {
  const auto known = find(library);
  if (!known || known->allows(told)) return;
  const auto changed = name +
                       ": the server tells of its key otherwise than when it was opened here: " +
                       what_changed(known->how, told) + "; nothing is encrypted or sent";
  if (is_another_way(known->how, told))
    throw Error(Errc::denied,
                changed + "; no change of a password does that: ask who runs the server");
  throw Error(Errc::denied,
              changed +
                  "; if you know that somebody changed its password, say so with `nacre unlock "
                  "MOUNTPOINT '" +
                  name + "' --accept-new-key`, else ask who runs the server");
}

void KnownKeys::check_accepted(const LibraryId& library, const std::string& name,
                               const Encryption& told, const LibraryKey& opened) const {
  const auto known = find(library);
  if (!known) return;
  if (is_another_way(known->how, told)) check(library, name, told);
  if (known->tag != tag_of(opened))
    throw Error(Errc::denied,
                name +
                    ": the server gives another key than the one that its contents are encrypted "
                    "with, and no change of a password does that; nothing was unlocked; ask who "
                    "runs the server");
}

}  // namespace nacre

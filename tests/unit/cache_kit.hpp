// SPDX-License-Identifier: Apache-2.0
//
// Bytes to keep, and a look at what is really on the disk, for the tests of cache/.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "crypto/hash.hpp"
#include "crypto/seal.hpp"

namespace nacre::test {

inline SealKey device_key() { return SealKey(Secret::copy_of(Bytes(SealKey::size, 0x42))); }

inline Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

inline Bytes noise(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

inline ObjectId numbered(std::uint64_t number) { return sha1(as_bytes(std::to_string(number))); }

inline const LibraryId some_library = *LibraryId::parse("a1b2c3d4-0000-4111-8222-333344445555");
inline const LibraryId other_library = *LibraryId::parse("00c0ffee-1234-4abc-9def-0123456789ab");

inline Bytes file_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

// Whether any file under `dir` contains `marker`.
inline bool on_disk(const std::filesystem::path& dir, std::string_view marker) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir)) {
    if (!entry.is_regular_file()) continue;
    if (as_text(file_bytes(entry.path())).find(marker) != std::string_view::npos) return true;
  }
  return false;
}

// Flips a bit in the middle of every page of `dir`'s database but the first two.
// Where tables are small, that is what the pages hold, and not the tree's own bytes.
inline void damage_pages(const std::filesystem::path& dir) {
  constexpr std::size_t page = 4096;
  const auto path = dir / "data.mdb";
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const auto size = static_cast<std::size_t>(std::filesystem::file_size(path));
  for (auto at = 2 * page + page / 2; at < size; at += page) {
    const auto offset = static_cast<std::streamoff>(at);
    file.seekg(offset);
    const auto flipped = static_cast<char>(file.get() ^ 1);
    file.seekp(offset);
    file.put(flipped);
  }
}

}  // namespace nacre::test

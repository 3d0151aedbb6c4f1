// SPDX-License-Identifier: Apache-2.0
//
// A Depot over a MemoryRemote and fresh caches, and files to put into it.
#pragma once

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "code_of.hpp"
#include "crypto/hash.hpp"
#include "crypto/library_key.hpp"
#include "fs/depot.hpp"
#include "fs/file_reader.hpp"
#include "fs/uploader.hpp"
#include "memory_remote.hpp"

namespace nacre::test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "nacre-test-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) throw Error(Errc::internal, "mkdtemp");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline Bytes noise(std::size_t size, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

inline std::shared_ptr<const LibraryKey> make_key(int version) {
  if (version == 0) return nullptr;
  return std::make_shared<const LibraryKey>(version, Secret::copy_of(noise(32, 7)),
                                            Secret::copy_of(noise(16, 8)));
}

inline Bytes stored_form(const LibraryKey* key, ByteView plain) {
  if (key == nullptr) return {plain.begin(), plain.end()};
  Bytes stored(LibraryKey::stored_size(plain.size()));
  key->encrypt(plain, stored);
  return stored;
}

struct ContentFixture {
  LibraryId library = *LibraryId::parse("11111111-2222-3333-4444-555555555555");
  MemoryRemote remote;
  TemporaryFolder folder;
  ObjectCache objects{folder.path() / "objects", SealKey(Secret::random(32)), 64U << 20U};
  BlockCache blocks{folder.path() / "blocks", SealKey(Secret::random(32)), 1U << 30U};
  Depot::Options options;
  std::unique_ptr<Depot> depot = std::make_unique<Depot>(remote, objects, blocks, options);

  // What memory held is gone, what was fetched is in the caches.
  void restart() {
    depot.reset();
    depot = std::make_unique<Depot>(remote, objects, blocks, options);
  }

  // Puts a file, cut into blocks of these lengths, on the remote.
  ObjectId add_file(ByteView content, const std::vector<std::size_t>& cuts, const LibraryKey* key) {
    File file{content.size(), {}};
    for (const auto cut : cuts) {
      file.blocks.push_back(remote.add_block(library, stored_form(key, content.first(cut))));
      content = content.subspan(cut);
    }
    return remote.add_object(library, write_file(file));
  }
};

inline std::vector<std::size_t> even_cuts(std::size_t size, std::size_t block) {
  std::vector<std::size_t> cuts(size / block, block);
  if (size % block != 0) cuts.push_back(size % block);
  return cuts;
}

inline std::vector<std::size_t> odd_cuts(std::size_t size, std::size_t most, unsigned seed = 3) {
  std::mt19937 random(seed);
  std::vector<std::size_t> cuts;
  while (size > 0) {
    cuts.push_back(std::min<std::size_t>(size, 1 + random() % most));
    size -= cuts.back();
  }
  return cuts;
}

class MemorySource : public PlainSource {
 public:
  explicit MemorySource(Bytes bytes) : bytes_(std::move(bytes)) {}
  [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }
  void read(std::uint64_t offset, MutableByteView out) override {
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  }

 private:
  Bytes bytes_;
};

inline Bytes read_all(FileReader& reader, std::uint64_t offset, std::size_t size) {
  Bytes out(size);
  out.resize(reader.read(offset, out));
  return out;
}

inline Bytes part(const Bytes& content, std::size_t offset, std::size_t size) {
  const auto view = ByteView(content).subspan(offset, std::min(size, content.size() - offset));
  return {view.begin(), view.end()};
}

}  // namespace nacre::test

// SPDX-License-Identifier: Apache-2.0
//
// What a real server wrote, as the tests of remote/ see it, and folders that go when a test ends.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "remote/json.hpp"
#include "remote/objects.hpp"

namespace nacre::test {

inline const std::filesystem::path golden_storage = GOLDEN "/real-server";

inline Bytes read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

struct StoredObject {
  LibraryId library;
  ObjectId id;
  std::filesystem::path path;
};

// Every object of that kind ("commits", "fs", "blocks").
inline std::vector<StoredObject> stored(const char* kind) {
  std::vector<StoredObject> all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(golden_storage / kind)) {
    if (!entry.is_regular_file()) continue;
    const auto& path = entry.path();
    const auto folder = path.parent_path();
    const auto id = ObjectId::parse(folder.filename().string() + path.filename().string());
    const auto library = LibraryId::parse(folder.parent_path().filename().string());
    if (id && library) all.push_back({*library, *id, path});
  }
  return all;
}

struct GoldenLibrary {
  std::string name, password;
  LibraryId id;
  ObjectId head, root;
};

inline std::vector<GoldenLibrary> golden_libraries() {
  const auto text = read_bytes(golden_storage / "libraries.json");
  const JsonDocument document{ByteView(text)};
  std::vector<GoldenLibrary> all;
  for (const auto& [name, value] : document.root().members()) {
    const auto id = LibraryId::parse(value.string_at("repo_id").value_or(""));
    const auto head = ObjectId::parse(value.string_at("head_commit").value_or(""));
    const auto root = ObjectId::parse(value.string_at("root").value_or(""));
    if (!id || !head || !root) continue;
    all.push_back({std::string(name), std::string(value.string_at("passwd").value_or("")), *id,
                   *head, *root});
  }
  return all;
}

class TempFolder {
 public:
  TempFolder() {
    auto name = (std::filesystem::temp_directory_path() / "nacre-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace nacre::test

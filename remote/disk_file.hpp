// SPDX-License-Identifier: Apache-2.0
//
// Whole files, read and replaced, with the system's errors as ours.
// Throws Error{not_found, denied, corrupt} on reading, Error{full, read_only, internal} on writing.
#pragma once

#include <filesystem>
#include <optional>

#include "base/bytes.hpp"

namespace nacre {

// Nullopt where there is no such file; Error{corrupt} where it is longer than `most` bytes.
std::optional<Bytes> read_whole_file(const std::filesystem::path& path, std::size_t most);

// Appears whole or not at all under `path`, whose folder is made if need be.  With `durable`
// also after a power cut.
void write_whole_file(const std::filesystem::path& path, ByteView bytes, bool durable);

// Puts on the disk all that was written to the file system that `path` is on.
void sync_file_system(const std::filesystem::path& path);

// The size of a file that has contents; a file that a power cut left empty is not there.
std::optional<std::uint64_t> size_of_file(const std::filesystem::path& path);

}  // namespace nacre

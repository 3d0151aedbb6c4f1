// SPDX-License-Identifier: Apache-2.0
//
// What goes over the wire between a Seafile server and us, both ways
// (seafile-protocol, sections 4 and 5).  Pure functions: read_*() take what a
// server sent, believe nothing, and throw Error{corrupt} for what cannot be.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "crypto/secret.hpp"
#include "remote/remote.hpp"

namespace nacre {

// pack-fs and recv-fs: 40 digits of id, 4 bytes big-endian length, that many bytes of zlib.
struct PackedObject {
  ObjectId id;
  ByteView stored;  // into the pack
};
inline constexpr std::size_t packed_header = 44;
std::vector<PackedObject> read_pack(ByteView pack);
void append_packed(Bytes& pack, const ObjectId& id, ByteView stored);

// JSON lists of ids: the body of pack-fs, check-fs, check-blocks, head-commits-multi.
std::string write_ids(std::span<const ObjectId> ids);
std::string write_ids(std::span<const LibraryId> ids);
std::vector<ObjectId> read_ids(ByteView json);

ObjectId read_head(ByteView json);  // commit/HEAD
std::vector<LibraryHead> read_heads(ByteView json);
std::vector<std::uint64_t> read_block_map(ByteView json);
std::vector<std::string> read_names(ByteView json);  // of a 446; at most ten

// A token, fit to stand in a header.
Secret read_token(ByteView json);
std::vector<std::pair<LibraryId, Secret>> read_tokens(ByteView json);

struct AccountInfo {
  std::string email;
  Quota quota;
};
AccountInfo read_account(ByteView json);

// Each library once: an own entry wins, else a writable one.  Entries that no
// client could use (no name: damaged; version 0; no id) are left out.
std::vector<LibraryInfo> read_libraries(ByteView json);

// download-info, which is also the answer to the creation of a library.
struct DownloadInfo {
  LibraryInfo library;
  Secret token;
};
DownloadInfo read_download_info(ByteView json);

// The server's own words for an error, on one line and short; empty if it has none.
std::string error_words(ByteView json);

// Text for a path, a query or a form: everything but letters, digits and "-._~" as %XX.
std::string percent_encode(std::string_view text);

// Forms: name=value&name=value, percent-encoded.
std::string write_form(std::span<const std::pair<std::string_view, std::string_view>> fields);
std::string library_form(const NewLibrary& library);
// `start` (a form already), then "&NAME=" and the secret, in memory of its kind.
Secret secret_form(std::string_view start, std::string_view name, const Secret& value);

}  // namespace nacre

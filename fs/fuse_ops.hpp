// SPDX-License-Identifier: Apache-2.0
//
// FUSE requests as calls on a Filesystem, and their results as replies.
#pragma once

struct fuse_lowlevel_ops;

namespace nacre {

// The operations of a session whose userdata is a FuseSide* (fs/fuse_request.hpp).
const fuse_lowlevel_ops& fuse_ops() noexcept;

// Adds those of open directories to the table.
void add_directory_ops(fuse_lowlevel_ops& table) noexcept;

// How long the kernel may believe an answer.  It is told of every change that it
// did not make itself, so: long.
inline constexpr double believed_seconds = 3600;

}  // namespace nacre

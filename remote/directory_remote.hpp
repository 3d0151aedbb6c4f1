// SPDX-License-Identifier: Apache-2.0
//
// A Remote over a local folder laid out as a Seafile server's storage: the
// embedded default (`nacre mount dir:PATH`), and how a backup of a server is
// read.  Writable where the folder is nacre's own (it has `heads`, or is empty
// or new); a folder without `heads` that has commits is somebody's backup: read only.
#pragma once

#include <filesystem>
#include <memory>

#include "remote/remote.hpp"

namespace nacre {

std::unique_ptr<Remote> open_directory_remote(const std::filesystem::path& storage);

}  // namespace nacre

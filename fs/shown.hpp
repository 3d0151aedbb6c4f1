// SPDX-License-Identifier: Apache-2.0
//
// Whose the files of a mount are said to be, and what is taken from their modes: a
// library itself holds neither.
#pragma once

#include <sys/types.h>
#include <unistd.h>

namespace nacre {

struct Shown {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
  mode_t file_mask = 022, folder_mask = 022;  // bits that are not shown
};

}  // namespace nacre

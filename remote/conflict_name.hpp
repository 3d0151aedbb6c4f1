// SPDX-License-Identifier: Apache-2.0
//
// Names of conflict copies, as Seafile's: " (SFConflict WHO YYYY-MM-DD-HH-MM-SS)" before the
// last dot.  A name holds one such mark, however often it gets into a conflict.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace nacre {

// `name` as a conflict copy's: marks that it has are replaced, not repeated, and the whole is
// cut to 255 bytes.  `mtime` in seconds, shown in local time, no later than the year 9999.
std::string conflict_name(std::string_view name, std::string_view who, std::int64_t mtime);

// The first such name, from `mtime` on, that is not `taken`.
std::string free_conflict_name(std::string_view name, std::string_view who, std::int64_t mtime,
                               const std::function<bool(const std::string&)>& taken);

// What a conflict copy is a copy of; other names come back as they are.
std::string without_conflict_mark(std::string_view name);

}  // namespace nacre

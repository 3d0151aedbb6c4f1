// SPDX-License-Identifier: Apache-2.0
//
// What the daemon says while it works: one line a message, to standard error
// until a log file is named.  Nothing secret fits this interface: callers pass
// ids, not names of encrypted libraries' files, and never key material.
// Any thread may call any function.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace nacre::log {

enum class Level { error, warning, info, debug };

void set_level(Level level) noexcept;

// From now on messages go to the end of this file (made 0600), each with its time.
void set_file(const std::filesystem::path& path);

void write(Level level, std::string_view message) noexcept;

inline void error(std::string_view message) noexcept { write(Level::error, message); }
inline void warning(std::string_view message) noexcept { write(Level::warning, message); }
inline void info(std::string_view message) noexcept { write(Level::info, message); }
inline void debug(std::string_view message) noexcept { write(Level::debug, message); }

}  // namespace nacre::log

// SPDX-License-Identifier: Apache-2.0
#include "remote/conflict_name.hpp"

#include <algorithm>
#include <array>
#include <ctime>

#include "remote/objects.hpp"

namespace nacre {

namespace {

constexpr std::string_view mark_begin = " (SFConflict ";
constexpr std::size_t max_who = 64;
constexpr std::int64_t latest = 253'402'214'400;  // the last day of the year 9999

std::int64_t shown_time(std::int64_t mtime) { return std::clamp<std::int64_t>(mtime, 0, latest); }

// The longest beginning of `text` that is not longer than `most` bytes and ends between two
// characters.
std::string_view cut(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0U) == 0x80) --most;
  return text.substr(0, most);
}

std::string make_mark(std::string_view who, std::int64_t mtime) {
  std::string mark(mark_begin);
  for (const char c : cut(who, max_who)) {
    const bool harmless = static_cast<unsigned char>(c) >= 0x20 && c != '/' && c != '(' && c != ')';
    mark += harmless ? c : '_';
  }
  if (!who.empty()) mark += ' ';
  const auto seconds = static_cast<std::time_t>(shown_time(mtime));
  std::tm local = {};
  std::array<char, 80> text{};
  localtime_r(&seconds, &local);
  mark.append(text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d-%H-%M-%S", &local));
  return mark + ')';
}

}  // namespace

std::string without_conflict_mark(std::string_view name) {
  std::string plain(name);
  for (auto begin = plain.rfind(mark_begin); begin != plain.npos;
       begin = begin == 0 ? plain.npos : plain.rfind(mark_begin, begin - 1)) {
    if (const auto end = plain.find(')', begin); end != plain.npos)
      plain.erase(begin, end + 1 - begin);
  }
  return plain;
}

std::string conflict_name(std::string_view name, std::string_view who, std::int64_t mtime) {
  const auto plain = without_conflict_mark(name);
  const auto mark = make_mark(who, mtime);
  // The dot of a hidden file does not begin an extension, and one so long is none.
  auto dot = plain.rfind('.');
  if (dot == 0 || dot == plain.npos || plain.size() - dot + mark.size() > max_name) {
    dot = plain.size();
  }
  const std::string_view stem(plain.data(), dot), extension(plain.data() + dot, plain.size() - dot);
  return std::string(cut(stem, max_name - mark.size() - extension.size())) + mark +
         std::string(extension);
}

std::string free_conflict_name(std::string_view name, std::string_view who, std::int64_t mtime,
                               const std::function<bool(const std::string&)>& taken) {
  // Seconds are tried one by one: late in the year 9999 there have to be some left.
  constexpr std::int64_t room = 1'000'000'000;
  auto time = std::min(shown_time(mtime), latest - room);
  auto free = conflict_name(name, who, shown_time(mtime));
  while (taken(free)) free = conflict_name(name, who, ++time);
  return free;
}

}  // namespace nacre

// SPDX-License-Identifier: Apache-2.0
//
// The part of MountedFilesystem that tells of single files and folders: to commands, and
// as extended attributes.
#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "base/waiting.hpp"
#include "fs/path_report.hpp"
#include "fs/privacy_report.hpp"
#include "fs/subtree.hpp"
#include "fs/with_path.hpp"

namespace nacre {
namespace {

constexpr std::string_view xattr_state = "user.nacre.state", xattr_library = "user.nacre.library",
                           xattr_id = "user.nacre.id", xattr_hint = "user.nacre.hint",
                           xattr_pinned = "user.nacre.pinned";
constexpr std::uint64_t most_counted = 100'000;  // files of one question

using Clock = std::chrono::steady_clock;

bool is_changed(const Node& node) {
  if (node.is_top()) return node.library->changed();
  return !node.parent || node.parent->folder->changes.contains(node.name);
}

std::size_t number_in(const std::string& text) {
  std::size_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::chrono::seconds seconds_until(Clock::time_point when) {
  return std::max(std::chrono::ceil<std::chrono::seconds>(when - Clock::now()),
                  std::chrono::seconds(0));
}

// Nullopt: from before the mount began.
std::optional<std::chrono::seconds> age_of(Clock::time_point since) {
  if (since == Clock::time_point{}) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - since);
}

}  // namespace

std::string MountedFilesystem::unlock_command(const Library& library) const {
  return "nacre unlock " + plan_.mountpoint.string() + " '" + library.name + "'";
}

std::optional<ControlReply> MountedFilesystem::path_control(const ControlRequest& request) {
  const auto& words = request.words;
  if (words.size() < 2) return std::nullopt;
  const auto& verb = words[0];
  const bool json = words.size() > 2 && words[2] == "json";
  if (verb == "why") {
    const auto facts = facts_of(words[1]);
    return ControlReply{0, json ? why_json(facts) : why_text(facts)};
  }
  if (verb == "privacy") return privacy(words[1], json);
  RequestProgress::Scope reached(progress_, request.caller);
  const Told told = [&reached](const Reached& now) { reached.tell(now); };
  if (verb == "pin") return pin(words[1], told);
  if (verb == "pinned") return pinned(words[1]);
  if (verb == "unpin") return unpin(words[1]);
  if (verb == "evict") return evict(words[1], told);
  if (verb == "du") return du(words[1], json, told);
  if (verb == "history" && words.size() == 5)
    return history(words[1], json, number_in(words[3]), words[4], told);
  if (verb == "restore" && words.size() == 4) return restore(words[1], words[2], words[3], told);
  return std::nullopt;
}

ControlReply MountedFilesystem::privacy(const std::string& path, bool json) {
  PrivacyFacts facts;
  facts.path = facts_of(path);
  if (facts.path.kind != PathFacts::Kind::mount) {
    const auto id = library_path(path).library;
    const std::lock_guard lock(mutex_);
    facts.encryption = tree_.library(id).base.encryption.version;
  }
  facts.source = plan_.source;
  facts.cache_dir = plan_.cache_dir.string();
  facts.state_dir = plan_.state_dir.string();
  facts.device_key_place = plan_.device_key_place;
  return {0, json ? privacy_json(facts) : privacy_text(facts)};
}

// What the tree tells of a path, for the facts that are found out without it.
struct MountedFilesystem::Look {
  Subtree below;
  std::vector<Library*> libraries;  // whose changes, or failures, matter
  Clock::time_point last_change{}, open_until{};
  bool open = false;  // for writing, with something to send
};

PathFacts MountedFilesystem::facts_of(const std::string& path) {
  PathFacts facts;
  Look look;
  const auto look_at = [&](Tree& tree, Node& node) {
    facts = {};
    look = {};
    look_at_node(tree, node, facts, look);
    return 0;
  };
  try {
    with_path(path, look_at);
  } catch (const Error& error) {
    if (error.code() == Errc::locked) {  // its library tells what can be told
      const auto library = library_path(path).library;
      with_tree([&](Tree& tree) { return look_at(tree, *tree.library(library).top); });
    } else if (error.code() != Errc::not_found || !removed_here(path, facts, look)) {
      throw;
    }
  }
  facts.path = path.empty() ? plan_.mountpoint.string() : path;
  for (auto* library : look.libraries) add_wait(*library, look, facts);
  if (facts.unlock.empty()) count_cached(look.below, facts);
  return facts;
}

void MountedFilesystem::look_at_node(Tree& tree, const Node& node, PathFacts& facts, Look& look) {
  const auto* library = node.library;
  if (!library) {
    facts.kind = PathFacts::Kind::mount;
    look.libraries = tree.libraries();
    std::erase_if(look.libraries, [](const Library* each) { return !each->changed(); });
  } else {
    facts.kind = node.is_top()         ? PathFacts::Kind::library
                 : node.is_directory() ? PathFacts::Kind::folder
                                       : PathFacts::Kind::file;
    look.libraries = {node.library};
    facts.library = library->name;
    facts.shared_read_only = !library->writable;
    if (library->keys->locked()) facts.unlock = unlock_command(*library);
    if (const auto pin = pinner_.pin_of(library->id, path_in_library(node)))
      facts.pin = pin->empty() ? library->name : *pin;
    if (!is_changed(node) && !node.id.is_empty()) facts.id = node.id.hex();
  }
  look.below = subtree_of(tree, node);
  facts.pending = look.below.unsent;
  look.open = node.writers > 0 && node.content && node.content->dirty();
  look.open_until = node.dirty_at + context_.open_limit;
  for (const auto* each : look.libraries) {
    look.last_change = std::max(look.last_change, each->last_change);
    if ((node.is_top() || !library) && each->changed()) facts.since = age_of(each->first_change);
  }
  if (library && !node.is_top() && node.parent && is_changed(node))
    facts.since = age_of(node.parent->folder->changes.at(node.name).since);
}

// What keeps a library's changes from being sent; the strongest of all libraries is told.
void MountedFilesystem::add_wait(const Library& library, const Look& look, PathFacts& facts) {
  using Wait = PathFacts::Wait;
  const auto status = sync_of(library.id).status();
  auto wait = Wait::soon;
  auto next = status.retry_in;
  if (library.keys->locked()) {
    wait = Wait::locked;
    facts.unlock = unlock_command(library);
  } else if (status.sending) {
    wait = Wait::sending;
  } else if (!status.error.empty()) {
    wait = status.code == Errc::unreachable   ? Wait::away
           : status.code == Errc::unconfirmed ? Wait::unconfirmed
                                              : Wait::failed;
    facts.error = status.error;
  } else if (remote_->away()) {
    wait = Wait::away;
    const std::lock_guard lock(follow_mutex_);
    facts.error = connection_error_;
  } else if (look.open) {
    wait = Wait::open;
    next = seconds_until(look.open_until);
  } else if (Clock::now() < look.last_change + context_.quiet) {
    wait = Wait::quiet;
    next = seconds_until(look.last_change + context_.quiet);
  }
  if (facts.pending.names == 0 || (facts.wait != Wait::none && facts.wait <= wait)) return;
  facts.wait = wait;
  facts.next = next;
}

// A name that is gone here and that the server still has.
bool MountedFilesystem::removed_here(const std::string& path, PathFacts& facts, Look& look) {
  const auto slash = path.rfind('/');
  const auto name = path.substr(slash == std::string::npos ? 0 : slash + 1);
  const auto folder = slash == std::string::npos ? std::string() : path.substr(0, slash);
  return with_path(folder, [&](Tree&, Node& node) {
    if (!node.is_directory() || !node.library) return false;
    const auto change = node.folder->changes.find(name);
    if (change == node.folder->changes.end() || !change->second.removed) return false;
    facts.removed = true;
    facts.library = node.library->name;
    facts.since = age_of(change->second.since);
    facts.pending.names = 1;
    look.libraries = {node.library};
    look.last_change = node.library->last_change;
    return true;
  });
}

// How many blocks of a file are on this machine.
MountedFilesystem::Held MountedFilesystem::held_of(const PublishedEntry& file) {
  const auto known = depot_.known_file(file.library, file.id);
  if (!known) return {};
  Held held{.known = true, .blocks = known->blocks.size()};
  for (const auto& block : known->blocks) {
    auto size = blocks_.size(file.library, block);
    if (const auto memory = size ? nullptr : depot_.held_block(file.library, block))
      size = memory->size();
    if (!size) continue;
    ++held.here;
    held.bytes += *size;
  }
  return held;
}

void MountedFilesystem::count_cached(const Subtree& below, PathFacts& facts) {
  if (facts.kind == PathFacts::Kind::file) {
    if (below.published.empty()) return;  // all of it was written here, or over what there was
    const auto held = held_of(below.published.front());
    facts.blocks_known = held.known;
    facts.parts = held.blocks;
    facts.parts_here = held.here;
    return;
  }
  facts.parts = facts.parts_here = below.changed_files;
  for (const auto& top : below.published) {
    visit(depot_, top, Reach::here,
          {.file =
               [&](const PublishedEntry& file) {
                 facts.counted_all = facts.parts < most_counted;
                 if (!facts.counted_all) return false;
                 const auto held = held_of(file);
                 ++facts.parts;
                 if (held.known && held.here == held.blocks) ++facts.parts_here;
                 return true;
               },
           .folder = {},
           .not_known = [&](const PublishedEntry&) { ++facts.folders_not_known; }});
  }
}

std::optional<std::string> MountedFilesystem::get_xattr(Ino ino, std::string_view name) {
  if (!name.starts_with("user.nacre.")) return std::nullopt;
  return with_tree([&](Tree& tree) -> std::optional<std::string> {
    const auto& node = tree.node(ino);
    if (!node.library) return std::nullopt;
    const bool locked = node.library->keys->locked();
    if (name == xattr_library) return node.library->id.str();
    if (name == xattr_hint && locked)
      return "locked; unlock it with: " + unlock_command(*node.library);
    if (name == xattr_pinned) return pinner_.pin_of(node.library->id, path_in_library(node));
    if (name == xattr_id && !is_changed(node)) return node.id.hex();
    if (name != xattr_state) return std::nullopt;
    if (locked) return "locked";
    return is_changed(node) ? "unsent" : "synced";
  });
}

std::vector<std::string> MountedFilesystem::list_xattr(Ino ino) {
  return with_tree([&](Tree& tree) {
    const auto& node = tree.node(ino);
    std::vector<std::string> names;
    if (!node.library) return names;
    names.emplace_back(xattr_state);
    names.emplace_back(xattr_library);
    if (!is_changed(node)) names.emplace_back(xattr_id);
    if (pinner_.pin_of(node.library->id, path_in_library(node))) names.emplace_back(xattr_pinned);
    if (node.library->keys->locked()) names.emplace_back(xattr_hint);
    return names;
  });
}

}  // namespace nacre

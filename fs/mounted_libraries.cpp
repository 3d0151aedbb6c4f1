// SPDX-License-Identifier: Apache-2.0
//
// The part of MountedFilesystem that begins, and knows the libraries.
#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/log.hpp"
#include "fs/library_list.hpp"
#include "fs/patience.hpp"
#include "fs/snapshot_filesystem.hpp"
#include "fs/unsent.hpp"
#include "fs/with_tree.hpp"

namespace nacre {
namespace {

constexpr std::uint64_t object_cache_share = 8;  // of the cache's limit, one part

std::string shown_name(const LibraryInfo& info, const std::set<std::string, std::less<>>& taken) {
  auto name = info.name;
  std::ranges::replace(name, '/', '_');
  if (name_fault(name) != nullptr) name = info.id.str();
  if (taken.contains(name)) name += " (" + info.id.str().substr(0, 8) + ")";
  return name;
}

}  // namespace

MountedFilesystem::MountedFilesystem(MountPlan plan, std::unique_ptr<Remote> remote)
    : plan_(std::move(plan)),
      remote_(std::make_unique<WatchedRemote>(std::move(remote))),
      state_(plan_.state_dir / "state", plan_.device_key.derive("state")),
      known_keys_(plan_.state_dir, plan_.device_key),
      objects_(plan_.cache_dir / "objects", plan_.device_key.derive("objects"),
               plan_.cache_limit / object_cache_share),
      blocks_(plan_.cache_dir / "blocks", plan_.device_key.derive("blocks"), plan_.cache_limit),
      depot_(*remote_, objects_, blocks_, Depot::Options{.patience = patience()}),
      pinner_(depot_, objects_, state_,
              {.root = [this](const LibraryId& library) { return published_root(library); },
               .encrypted =
                   [this](const LibraryId& library) {
                     const std::lock_guard lock(mutex_);
                     return tree_.library(library).keys->encrypted();
                   }},
              {.cache_dir = plan_.cache_dir,
               .block_limit = plan_.cache_limit,
               .object_limit = plan_.cache_limit / object_cache_share,
               .patience = patience()}),
      ahead_(depot_, Ahead::Options{}),
      store_{depot_, state_, plan_.write_buffer},
      tree_(depot_, state_, store_, remote_->user(), plan_.read_only || !remote_->writable(),
            plan_.shown),
      context_{tree_,
               mutex_,
               depot_,
               state_,
               known_keys_,
               nullptr,
               plan_.client,
               std::chrono::milliseconds(plan_.quiet_milliseconds),
               std::chrono::seconds(plan_.open_limit_seconds),
               plan_.max_deletions,
               plan_.mountpoint,
               [this] { pinner_.poke(); }} {
  remote_->on_change([this] { server_changed(); });
  const WaitAs mounting(Waiting::at_most(patience(), true));
  auto infos = libraries_to_know();
  std::erase_if(infos, [&](const LibraryInfo& info) { return !wanted(info); });
  check_names(infos);
  const bool one = plan_.libraries.size() == 1;
  if (!one) tree_.make_top();
  for (const auto& info : infos) add_library(info, one);
  for (const auto& [name, password] : plan_.passwords)
    unlock_library(name.empty() ? only_encrypted() : find_library(name), password);
  plan_.passwords.clear();
}

MountedFilesystem::~MountedFilesystem() = default;

bool MountedFilesystem::wanted(const LibraryInfo& info) const {
  return plan_.libraries.empty() ||
         std::ranges::any_of(plan_.libraries, [&](const std::string& name) {
           return info.name == name || info.id.text() == name;
         });
}

void MountedFilesystem::check_names(const std::vector<LibraryInfo>& infos) const {
  for (const auto& name : plan_.libraries) {
    const auto count = std::ranges::count_if(infos, [&](const LibraryInfo& info) {
      return info.name == name || info.id.text() == name;
    });
    if (count == 0 && remote_->away())
      throw Error(Errc::unreachable,
                  name + ": not known here, and the server does not answer; try again later");
    if (count == 0)
      throw Error(Errc::not_found, name + ": no such library; `nacre libraries` lists them");
    if (count > 1)
      throw Error(Errc::invalid, name + ": several libraries have this name; give the id instead");
  }
}

// As the server lists them; as it did last where it does not answer; and those that have
// unsent changes in any case.
std::vector<LibraryInfo> MountedFilesystem::libraries_to_know() {
  std::vector<LibraryInfo> infos;
  try {
    infos = remote_->libraries();
    remember(infos);
  } catch (const Error& error) {
    if (error.code() != Errc::unreachable && !plan_.rescue_only) throw;
    const auto kept = state_.get(record_key::libraries());
    if (!kept && !plan_.rescue_only)
      throw Error(Errc::unreachable, std::string(error.what()) +
                                         "; nothing of this account has been mounted here "
                                         "before, so the server is needed this time");
    if (kept) infos = decode_libraries(*kept);
    const std::lock_guard lock(follow_mutex_);
    connection_error_ = error.what();
    list_is_old_ = true;
    log::warning("going on without the server: " + connection_error_);
  }
  const auto changed = libraries_with_changes();
  if (plan_.rescue_only)
    std::erase_if(infos, [&](const LibraryInfo& info) { return !changed.contains(info.id); });
  for (const auto& id : changed) {
    if (std::ranges::find(infos, id, &LibraryInfo::id) != infos.end()) continue;
    const auto base = known_base(id);
    if (!base) continue;  // nothing that could be shown
    LibraryInfo info;
    info.id = id;
    info.name = base->library_name.empty() ? id.str() : base->library_name;
    info.encrypted = base->encryption.encrypted();
    infos.push_back(info);
    log::warning(id.str() +
                 ": has unsent changes, and the server does not list it; `nacre rescue` writes "
                 "them out");
  }
  return infos;
}

void MountedFilesystem::remember(const std::vector<LibraryInfo>& infos) {
  auto list = encode(infos);
  if (state_.get(record_key::libraries()) == list) return;
  std::vector<State::Change> change;
  change.push_back({record_key::libraries(), std::move(list)});
  commit_if_possible(state_.stage(std::move(change)));
}

// What costs an offline mount something, and nobody a change.
void MountedFilesystem::commit_if_possible(State::Ticket ticket) noexcept try {
  state_.commit(ticket);
} catch (const std::exception& error) {
  log::debug(error.what());
}

std::set<LibraryId> MountedFilesystem::libraries_with_changes() {
  std::set<LibraryId> found;
  for (const auto& [library, names] : unsent_names(state_)) found.insert(library);
  return found;
}

std::optional<Commit> MountedFilesystem::known_base(const LibraryId& library) {
  const auto base = state_.get(record_key::base(library));
  return base ? std::optional(decode_base(*base)) : std::nullopt;
}

Tree::Recorded MountedFilesystem::recorded(const LibraryId& library) {
  Tree::Recorded found;
  state_.scan(record_key::entries(library), [&](ByteView key, ByteView value) {
    found.entries.emplace_back(record_key::number_in(key), decode_entry(value));
  });
  state_.scan(record_key::files(library), [&](ByteView key, ByteView value) {
    found.files[record_key::number_in(key)] = decode_file(value);
  });
  state_.scan_keys(record_key::extents(library), [&](ByteView key) {
    found.extents[record_key::number_in(key)].push_back(record_key::index_in(key));
  });
  return found;
}

void MountedFilesystem::add_library(const LibraryInfo& info, bool as_top) {
  auto library = std::make_unique<Library>();
  library->id = info.id;
  library->name = info.name;
  library->writable = info.writable;
  library->keys = std::make_shared<KeyHolder>(info.encrypted);
  library->listed_head = info.head;
  auto unsent = recorded(info.id);
  const bool has_unsent = !unsent.entries.empty();
  pinner_.load(info.id);
  auto base = known_base(info.id);
  if (has_unsent && !base)
    throw Error(Errc::corrupt, info.name + ": unsent changes without what they build on");
  const bool current = base && base->encryption.encrypted() == info.encrypted &&
                       (remote_->away() || info.head == base->id);
  if (has_unsent || current) {
    library->base = *std::move(base);
    library->ready = true;
  }

  const std::lock_guard lock(mutex_);
  if (!as_top) {
    std::set<std::string, std::less<>> taken;
    for (const auto& [name, node] : tree_.node(root_ino).folder->children) taken.insert(name);
    library->shown_name = shown_name(info, taken);
  }
  auto& added = tree_.add_library(std::move(library), as_top);
  if (!added.ready) added.top->mtime = info.mtime;
  syncs_[added.id] = std::make_unique<LibrarySync>(context_, added);
  if (has_unsent || !unsent.files.empty() || !unsent.extents.empty()) {
    tree_.restore(added, std::move(unsent));
    tree_.stage();
  }
}

Library& MountedFilesystem::find_library(std::string_view name_or_id) {
  const std::lock_guard lock(mutex_);
  Library* found = nullptr;
  for (auto* library : tree_.libraries()) {
    if (library->id.text() == name_or_id) return *library;
    if (library->name != name_or_id && library->shown_name != name_or_id) continue;
    if (found)
      throw Error(Errc::invalid, std::string(name_or_id) + ": several libraries; give the id");
    found = library;
  }
  if (!found)
    throw Error(Errc::not_found, std::string(name_or_id) + ": not a library of this mount");
  return *found;
}

// For a password that was given without a name.
Library& MountedFilesystem::only_encrypted() {
  const std::lock_guard lock(mutex_);
  Library* found = nullptr;
  for (auto* library : tree_.libraries()) {
    if (!library->keys->encrypted()) continue;
    if (found)
      throw Error(Errc::invalid,
                  "mount: several libraries are encrypted; say with --unlock which of them "
                  "the password is for");
    found = library;
  }
  if (!found)
    throw Error(Errc::invalid, "mount: a password is given, but no library to mount is encrypted");
  return *found;
}

LibrarySync& MountedFilesystem::sync_of(const LibraryId& library) {
  const std::lock_guard lock(mutex_);
  return *syncs_.at(library);
}

std::vector<Library*> MountedFilesystem::all_libraries() {
  const std::lock_guard lock(mutex_);
  return tree_.libraries();
}

std::vector<LibrarySync*> MountedFilesystem::all_syncs() {
  const std::lock_guard lock(mutex_);
  std::vector<LibrarySync*> all;
  for (const auto& [id, sync] : syncs_) all.push_back(sync.get());
  return all;
}

void MountedFilesystem::fetch(const LibraryId& library, const ObjectId& directory) {
  patience::about_to_wait();
  if (!directory.is_empty()) {
    depot_.directory(library, directory);
    return;
  }
  try {
    make_ready(library);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    throw Error(Errc::corrupt, error.what());  // the library is there, its head is not
  }
}

// With the server's head; where it does not answer, with the one that was seen last.
void MountedFilesystem::make_ready(const LibraryId& id) {
  try {
    sync_of(id).make_ready();
  } catch (const Error& error) {
    auto base = error.code() == Errc::unreachable ? known_base(id) : std::nullopt;
    if (!base) throw;
    const std::lock_guard lock(mutex_);
    auto& library = tree_.library(id);
    if (library.ready) return;
    if (base->encryption.encrypted() != library.keys->encrypted()) throw;
    tree_.set_base(library, *std::move(base));
    tree_.stage();
    return;
  }
  commit_if_possible(state_.stage({}));  // for a mount without the server
}

std::optional<SnapshotLibrary> MountedFilesystem::library_at(Ino ino) {
  const std::lock_guard lock(mutex_);
  const auto& node = tree_.node(ino);
  if (!node.is_top()) return std::nullopt;
  return SnapshotLibrary{node.library->id, node.library->keys, ino, node.st_ino};
}

ObjectId MountedFilesystem::head_of(const LibraryId& library) {
  return with_tree([&](Tree& tree) {
    const auto& known = tree.library(library);
    if (!known.ready) throw NeedLibrary{library};
    return known.base.id;
  });
}

ObjectId MountedFilesystem::published_root(const LibraryId& library) {
  make_ready(library);
  const std::lock_guard lock(mutex_);
  return tree_.library(library).base.root;
}

// As the library's base has it; as the server tells it now where that is not what is known, or
// where a person accepts what it tells.
Encryption MountedFilesystem::encryption_to_open(const Library& library, NewKey changed) {
  Encryption how;
  {
    const std::lock_guard lock(mutex_);
    how = library.base.encryption;
  }
  const auto known = known_keys_.find(library.id);
  const bool as_known = !known || known->allows(how);
  if (as_known && changed == NewKey::refused) return how;
  how = remote_->commit(library.id, remote_->head(library.id)).encryption;
  if (changed == NewKey::refused) known_keys_.check(library.id, library.name, how);
  return how;
}

void MountedFilesystem::unlock_library(Library& library, const Secret& password, NewKey changed) {
  if (!library.keys->encrypted())
    throw Error(Errc::invalid, library.name + ": not encrypted, nothing to unlock");
  make_ready(library.id);
  const auto how = encryption_to_open(library, changed);
  auto key = unlock(library.id, how, password);
  if (!key)
    throw Error(Errc::wrong_password, library.name + ": wrong password; nothing was unlocked");
  known_keys_.check_accepted(library.id, library.name, how, *key);
  remember_key(library, how, *key);
  library.keys->set(std::make_shared<const LibraryKey>(std::move(*key)));
  Ino top = 0;
  {
    const std::lock_guard lock(mutex_);
    top = library.top->ino;
  }
  if (context_.kernel) context_.kernel->data_changed(top);
  if (changed == NewKey::accepted)
    sync_of(library.id).look_again();
  else
    sync_of(library.id).poke();
}

// A disk that is full keeps nobody from reading.
void MountedFilesystem::remember_key(const Library& library, const Encryption& how,
                                     const LibraryKey& key) {
  try {
    if (const auto known = known_keys_.find(library.id); known && known->allows(how)) return;
    known_keys_.remember(library.id, how, key);
  } catch (const Error& error) {
    if (error.code() == Errc::corrupt) throw;
    log::warning(library.id.str() + ": its key is not remembered: " + error.what());
  }
}

void MountedFilesystem::lock_library(Library& library) {
  if (!library.keys->encrypted())
    throw Error(Errc::invalid, library.name + ": not encrypted, it cannot be locked");
  library.keys->set(nullptr);
  Notices notices;
  {
    const std::lock_guard lock(mutex_);
    std::vector<Node*> folders = {library.top};
    notices.data.push_back(library.top->ino);
    while (!folders.empty()) {
      const auto* folder = folders.back();
      folders.pop_back();
      for (const auto& [name, child] : folder->folder->children) {
        if (child->content) child->content->drop_reader();
        if (child->is_directory()) folders.push_back(child);
        notices.data.push_back(child->ino);
        notices.entries.emplace_back(folder->ino, name);
      }
    }
  }
  if (context_.kernel) notices.tell(*context_.kernel);
  sync_of(library.id).server_is_back();  // what its key was refused for does not wait
}

void MountedFilesystem::on_unmount(std::function<void()> unmount) { unmount_ = std::move(unmount); }

std::unique_ptr<Filesystem> make_filesystem(MountPlan plan, std::unique_ptr<Remote> remote) {
  const auto shown = plan.shown;
  const bool snapshots = plan.snapshots;
  auto live = std::make_unique<MountedFilesystem>(std::move(plan), std::move(remote));
  if (!snapshots) return live;
  SnapshotSource& source = *live;
  return std::make_unique<SnapshotFilesystem>(std::move(live), source, shown);
}

}  // namespace nacre

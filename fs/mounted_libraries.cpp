// SPDX-License-Identifier: Apache-2.0
//
// The half of MountedFilesystem that begins, follows the server, and ends.
#include <algorithm>
#include <condition_variable>
#include <set>

#include "base/error.hpp"
#include "base/log.hpp"
#include "fs/patience.hpp"
#include "fs/with_tree.hpp"

namespace nacre {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t object_cache_share = 8;  // of the cache's limit, one part
constexpr auto last_flush = 30s;                 // how long an unmount waits for the server

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
      remote_(std::move(remote)),
      objects_(plan_.cache_dir / "objects", plan_.device_key.derive("objects"),
               plan_.cache_limit / object_cache_share),
      blocks_(plan_.cache_dir / "blocks", plan_.device_key.derive("blocks"), plan_.cache_limit),
      state_(plan_.state_dir / "state", plan_.device_key.derive("state")),
      depot_(*remote_, objects_, blocks_, Depot::Options{}),
      store_{depot_, state_, plan_.write_buffer},
      tree_(depot_, state_, store_, remote_->user(), plan_.read_only || !remote_->writable()),
      context_{tree_,
               mutex_,
               depot_,
               state_,
               nullptr,
               plan_.client,
               std::chrono::milliseconds(plan_.quiet_milliseconds),
               std::chrono::seconds(plan_.open_limit_seconds)} {
  auto infos = remote_->libraries();
  std::erase_if(infos, [&](const LibraryInfo& info) { return !wanted(info); });
  for (const auto& name : plan_.libraries) {
    const auto count = std::ranges::count_if(infos, [&](const LibraryInfo& info) {
      return info.name == name || info.id.text() == name;
    });
    if (count == 0)
      throw Error(Errc::not_found, name + ": no such library; `nacre libraries` lists them");
    if (count > 1)
      throw Error(Errc::invalid, name + ": several libraries have this name; give the id instead");
  }
  const bool one = plan_.libraries.size() == 1;
  if (!one) tree_.make_top();
  for (const auto& info : infos) add_library(info, one);
  for (const auto& [name, password] : plan_.passwords) unlock_library(find_library(name), password);
  plan_.passwords.clear();
}

MountedFilesystem::~MountedFilesystem() = default;

bool MountedFilesystem::wanted(const LibraryInfo& info) const {
  return plan_.libraries.empty() ||
         std::ranges::any_of(plan_.libraries, [&](const std::string& name) {
           return info.name == name || info.id.text() == name;
         });
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
  if (has_unsent) {
    const auto base = state_.get(record_key::base(info.id));
    if (!base)
      throw Error(Errc::corrupt, info.name + ": unsent changes without what they build on");
    library->base = decode_base(*base);
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

LibrarySync& MountedFilesystem::sync_of(const LibraryId& library) {
  const std::lock_guard lock(mutex_);
  return *syncs_.at(library);
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
    sync_of(library).make_ready();
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    throw Error(Errc::corrupt, error.what());  // the library is there, its head is not
  }
}

void MountedFilesystem::unlock_library(Library& library, const Secret& password) {
  if (!library.keys->encrypted())
    throw Error(Errc::invalid, library.name + ": not encrypted, nothing to unlock");
  sync_of(library.id).make_ready();
  Encryption how;
  {
    const std::lock_guard lock(mutex_);
    how = library.base.encryption;
  }
  auto key = unlock(library.id, how, password);
  if (!key)
    throw Error(Errc::wrong_password, library.name + ": wrong password; nothing was unlocked");
  library.keys->set(std::make_shared<const LibraryKey>(std::move(*key)));
  Ino top = 0;
  {
    const std::lock_guard lock(mutex_);
    top = library.top->ino;
  }
  if (context_.kernel) context_.kernel->data_changed(top);
  sync_of(library.id).poke();
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
}

void MountedFilesystem::start(Kernel& kernel) {
  {
    const std::lock_guard lock(mutex_);
    context_.kernel = &kernel;
  }
  for (auto* sync : all_syncs()) sync->poke();  // what an earlier mount left unsent
  follower_ = std::jthread([this](const std::stop_token& stop) { follow(stop); });
}

void MountedFilesystem::stop() {
  follower_.request_stop();
  if (follower_.joinable()) follower_.join();
  // A last try to send what there is; what cannot be sent now waits in state.
  const auto reply = sync(true, last_flush);
  if (reply.status != 0) log::warning("unmount: " + reply.text);
  const std::lock_guard lock(mutex_);
  context_.kernel = nullptr;
}

void MountedFilesystem::follow(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::string error;
    try {
      look_at_server();
    } catch (const Error& failed) {
      error = failed.what();
    }
    std::unique_lock lock(follow_mutex_);
    if (!error.empty() && connection_error_.empty()) log::warning(error);
    connection_error_ = error;
    follow_changed_.wait_for(lock, stop, std::chrono::seconds(plan_.poll_seconds),
                             [] { return false; });
  }
}

void MountedFilesystem::look_at_server() {
  std::vector<LibraryId> ids;
  {
    const std::lock_guard lock(mutex_);
    for (const auto* library : tree_.libraries()) ids.push_back(library->id);
  }
  if (!ids.empty()) {
    for (const auto& [library, head] : remote_->heads(ids)) sync_of(library).head_seen(head);
  }
  if (plan_.libraries.empty()) look_at_libraries();
  const auto quota = remote_->quota();
  const std::lock_guard lock(quota_mutex_);
  quota_ = quota;
}

// Libraries that appeared since; one that went stays as long as the mount does.
void MountedFilesystem::look_at_libraries() {
  const auto infos = remote_->libraries();
  Notices notices;
  for (const auto& info : infos) {
    {
      const std::lock_guard lock(mutex_);
      const auto known = syncs_.find(info.id);
      if (known != syncs_.end()) {
        auto& library = tree_.library(info.id);
        library.writable = info.writable;
        continue;
      }
    }
    add_library(info, false);
    const std::lock_guard lock(mutex_);
    notices.entries.emplace_back(root_ino, tree_.library(info.id).shown_name);
  }
  if (!notices.entries.empty()) notices.data.push_back(root_ino);
  notices.tell(*context_.kernel);
}

void MountedFilesystem::on_unmount(std::function<void()> unmount) { unmount_ = std::move(unmount); }

std::unique_ptr<Filesystem> make_filesystem(MountPlan plan, std::unique_ptr<Remote> remote) {
  return std::make_unique<MountedFilesystem>(std::move(plan), std::move(remote));
}

}  // namespace nacre

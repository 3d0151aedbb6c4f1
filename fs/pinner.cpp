// SPDX-License-Identifier: Apache-2.0
#include "fs/pinner.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/log.hpp"
#include "base/waiting.hpp"
#include "fs/records.hpp"
#include "fs/size_text.hpp"
#include "remote/parallel.hpp"

namespace nacre {
namespace {

using namespace std::chrono_literals;

constexpr auto retry = 60s;
constexpr std::size_t lanes = 3;          // blocks fetched at once
constexpr std::size_t pack = 1000;        // objects asked for, and blocks pinned, at once
constexpr std::uint64_t share = 10;       // of a cache, one part is left to what is not pinned
constexpr std::uint64_t free_share = 20;  // of the disk, one part stays free

void make_set(std::vector<ObjectId>& ids) {
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

// By name, `name` itself or below the folder `name`.
bool is_in(std::string_view path, std::string_view folder) {
  return folder.empty() || path == folder ||
         (path.starts_with(folder) && path[folder.size()] == '/');
}

std::string shown(const std::string& path) { return path.empty() ? "the library" : path; }

}  // namespace

// What one pin takes.
struct Pinner::Work {
  PinStatus status;
  std::vector<ObjectId> objects, blocks;  // sorted
};

Pinner::Pinner(Depot& depot, ObjectCache& objects, State& state, Libraries libraries,
               Options options)
    : depot_(depot),
      objects_(objects),
      state_(state),
      libraries_(std::move(libraries)),
      options_(std::move(options)) {}

void Pinner::load(const LibraryId& library) {
  Pins found;
  state_.scan(record_key::pins(library), [&](ByteView, ByteView value) {
    PinStatus pin;
    pin.library = library;
    pin.path = as_text(value);
    found.emplace(pin.path, pin);
  });
  const std::lock_guard lock(mutex_);
  pins_[library] = std::move(found);
  poked_ = true;
}

void Pinner::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Pinner::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Pinner::poke() {
  {
    const std::lock_guard lock(mutex_);
    poked_ = true;
  }
  changed_.notify_all();
}

void Pinner::pin(const LibraryId& library, const std::string& path, const Told& told) {
  const auto work = collect(library, path, libraries_.root(library), told);
  check_room(work.status);
  std::vector<State::Change> change;
  change.push_back(
      {record_key::pin(library, state_.tag(as_bytes(path))), Bytes(path.begin(), path.end())});
  state_.commit(state_.stage(std::move(change)));
  {
    const std::lock_guard lock(mutex_);
    pins_[library][path] = work.status;
    kept_.erase(library);
  }
  poke();
}

void Pinner::unpin(const LibraryId& library, const std::string& path) {
  {
    const std::lock_guard lock(mutex_);
    if (!pins_[library].contains(path))
      throw Error(Errc::not_found, shown(path) + ": is not pinned; `nacre status` shows what is");
  }
  std::vector<State::Change> change;
  change.push_back({record_key::pin(library, state_.tag(as_bytes(path))), std::nullopt});
  state_.commit(state_.stage(std::move(change)));
  {
    const std::lock_guard lock(mutex_);
    pins_[library].erase(path);
    kept_.erase(library);
  }
  poke();
}

std::vector<PinStatus> Pinner::status() {
  const std::lock_guard lock(mutex_);
  std::vector<PinStatus> all;
  for (const auto& [library, pins] : pins_)
    for (const auto& [path, status] : pins) all.push_back(status);
  return all;
}

std::optional<std::string> Pinner::pin_of(const LibraryId& library, std::string_view path) {
  const std::lock_guard lock(mutex_);
  const auto pins = pins_.find(library);
  if (pins == pins_.end()) return std::nullopt;
  for (const auto& [pinned, status] : pins->second)
    if (is_in(path, pinned)) return pinned;
  return std::nullopt;
}

PinStatus Pinner::wait(const LibraryId& library, const std::string& path,
                       std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  const auto now = [&]() -> const PinStatus& {
    const auto pin = pins_[library].find(path);
    if (pin == pins_[library].end())
      throw Error(Errc::not_found, shown(path) + ": is not pinned any more");
    return pin->second;
  };
  changed_.wait_for(lock, most, [&] { return now().complete || !now().error.empty(); });
  return now();
}

// Finds out what there is; waits for the server where that is not known here.
Pinner::Work Pinner::collect(const LibraryId& library, const std::string& path,
                             const ObjectId& root, const Told& told) {
  Work work;
  Counted files(told, 1, "files");
  work.status.library = library;
  work.status.path = path;
  PublishedEntry entry{library, {}, root, 0, true};
  // The way to it is needed to find it without the server.
  for (std::size_t begin = 0; begin < path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    const Dirent* dirent = nullptr;
    const auto directory = entry.folder ? depot_.directory(library, entry.id) : nullptr;
    if (directory) dirent = directory->find(path.substr(begin, end - begin));
    if (!dirent)
      throw Error(Errc::not_found, path + ": not on the server (yet); only what is can be pinned");
    if (!entry.id.is_empty()) work.objects.push_back(entry.id);
    entry = {library, path.substr(0, end), dirent->id, dirent->size, dirent->is_directory()};
    begin = end + 1;
  }
  visit(depot_, entry, Reach::files,
        {.file =
             [&](const PublishedEntry& file) {
               ++work.status.files;
               files.one();
               work.status.bytes += file.size;
               if (file.id.is_empty()) return true;
               const auto content = depot_.file(library, file.id);
               const auto count = content->blocks.size();
               work.objects.push_back(file.id);
               work.blocks.insert(work.blocks.end(), content->blocks.begin(),
                                  content->blocks.end());
               if (count > 0)
                 work.status.block_cost +=
                     BlockCache::cost(file.size / count + LibraryKey::cipher_block) * count;
               work.status.object_cost += ObjectCache::cost(64 + count * 44);
               return true;
             },
         .folder =
             [&](const PublishedEntry& folder) {
               if (folder.id.is_empty()) return;
               work.objects.push_back(folder.id);
               const auto directory = depot_.directory(library, folder.id);
               for (const auto& dirent : directory->entries)
                 work.status.object_cost += 200 + dirent.name.size();
             },
         .not_known = {},
         .part = [&](double part) { files.part(part); }});
  make_set(work.objects);
  make_set(work.blocks);
  work.status.blocks = work.blocks.size();
  return work;
}

// Whether all pins fit, this one, which may be new, as it is now.
void Pinner::check_room(const PinStatus& added) {
  std::uint64_t blocks = added.block_cost, objects = added.object_cost;
  for (const auto& other : status()) {
    if (other.library == added.library && other.path == added.path) continue;
    blocks += other.block_cost;
    objects += other.object_cost;
  }
  const auto least = [](std::uint64_t limit) { return limit - limit / share; };
  const auto needs = shown(added.path) + ": needs " + size_text(added.block_cost) + " of the cache";
  if (blocks > least(options_.block_limit) || objects > least(options_.object_limit))
    throw Error(Errc::full, needs + ", whose limit is " + size_text(options_.block_limit) +
                                ", and " + size_text(blocks - added.block_cost) +
                                " are pinned already; raise it with `-o cache-limit`, or pin less");
  std::error_code unknown;
  const auto disk = std::filesystem::space(options_.cache_dir, unknown);
  const auto here = depot_.blocks().pinned();
  if (!unknown && blocks > here && blocks - here + disk.capacity / free_share > disk.available)
    throw Error(Errc::full, needs + ", and the disk at " + options_.cache_dir.string() + " has " +
                                size_text(disk.available) + " left; make room there, or pin less");
}

void Pinner::run(const std::stop_token& stop) {
  bool fine = true;
  for (;;) {
    std::vector<LibraryId> libraries;
    {
      std::unique_lock lock(mutex_);
      const auto poked = [this] { return poked_; };
      if (fine)
        changed_.wait(lock, stop, poked);
      else
        changed_.wait_for(lock, stop, retry, poked);
      if (stop.stop_requested()) return;
      poked_ = false;
      for (const auto& [library, pins] : pins_) libraries.push_back(library);
    }
    fine = true;
    for (const auto& library : libraries) {
      auto waits = Waiting::at_most(options_.patience, true);
      waits.stop = stop;
      const WaitAs keeping(std::move(waits));
      fine = keep(library, stop) && fine;
    }
  }
}

// True: there is nothing to try again.
bool Pinner::keep(const LibraryId& library, const std::stop_token& stop) {
  Pins pins;
  {
    const std::lock_guard lock(mutex_);
    pins = pins_[library];
  }
  std::vector<ObjectId> objects, blocks;
  bool all = true, fine = true;
  try {
    const auto root = pins.empty() ? ObjectId{} : libraries_.root(library);
    {
      const std::lock_guard lock(mutex_);
      if (const auto kept = kept_.find(library); kept != kept_.end() && kept->second == root)
        return true;
    }
    for (auto& [path, status] : pins) {
      try {
        auto work = collect(library, path, root);
        check_room(work.status);
        fine = keep_one(work, stop) && fine;
        objects.insert(objects.end(), work.objects.begin(), work.objects.end());
        blocks.insert(blocks.end(), work.blocks.begin(), work.blocks.end());
      } catch (const Error& error) {
        if (stop.stop_requested()) return true;
        // Where nothing of the name is there, nothing is kept; else all that was.
        if (error.code() != Errc::not_found) all = fine = false;
        status.complete = false;
        status.error = error.what();
        status.code = error.code();
        report(status);
      }
    }
    if (all) {
      make_set(objects);
      make_set(blocks);
      objects_.unpin_others(library, objects);
      depot_.blocks().unpin_others(library, blocks);
    }
    const std::lock_guard lock(mutex_);
    const auto now = pins_.find(library);
    const bool same = std::ranges::equal(now->second, pins, {}, &Pins::value_type::first,
                                         &Pins::value_type::first);
    if (fine && same) kept_[library] = root;
    if (!same) poked_ = true;
  } catch (const Error& error) {
    if (stop.stop_requested()) return true;
    log::warning("pins: " + std::string(error.what()));
    for (auto& [path, status] : pins) {
      status.error = error.what();
      status.code = error.code();
      report(status);
    }
    return false;
  }
  return fine;
}

bool Pinner::keep_one(Work& work, const std::stop_token& stop) {
  const auto& library = work.status.library;
  const auto in_packs = [](const std::vector<ObjectId>& ids, auto pin) {
    for (std::size_t at = 0; at < ids.size(); at += pack)
      pin(std::span(ids).subspan(at, std::min(pack, ids.size() - at)));
  };
  // Before they come, so that nothing of them goes again meanwhile.
  in_packs(work.objects, [&](auto ids) { objects_.pin(library, ids); });
  in_packs(work.blocks, [&](auto ids) { depot_.blocks().pin(library, ids); });
  try {
    fetch_objects(work);
    fetch_blocks(work, stop);
    work.status.complete = work.status.blocks_here == work.status.blocks;
  } catch (const Error& error) {
    work.status.error = error.what();
    work.status.code = error.code();
  }
  report(work.status);
  return work.status.complete;
}

// Those that memory had and the cache did not any more.
void Pinner::fetch_objects(const Work& work) {
  const auto& library = work.status.library;
  std::vector<ObjectId> missing;
  for (const auto& id : work.objects)
    if (!objects_.get(library, id)) missing.push_back(id);
  for (std::size_t at = 0; at < missing.size(); at += pack) {
    const auto some = std::span(missing).subspan(at, std::min(pack, missing.size() - at));
    depot_.keep_objects(library, depot_.remote().objects(library, some));
  }
}

void Pinner::fetch_blocks(Work& work, const std::stop_token& stop) {
  const auto& library = work.status.library;
  const auto kind =
      libraries_.encrypted(library) ? BlockCache::Kind::ciphertext : BlockCache::Kind::plain;
  std::vector<ObjectId> missing;
  for (const auto& id : work.blocks)
    if (!depot_.blocks().size(library, id)) missing.push_back(id);
  work.status.blocks_here = work.blocks.size() - missing.size();
  report(work.status);
  std::mutex counting;
  run_parallel(missing.size(), lanes, [&](std::size_t i) {
    if (stop.stop_requested()) return;
    const auto& id = missing[i];
    const auto stored = depot_.block(library, id, kind);
    depot_.remember_block(library, id, *stored, kind);
    depot_.spend_block(library, id);
    if (!depot_.blocks().size(library, id))
      throw Error(Errc::full, "cache: a pinned block could not be kept; is the disk full?");
    const std::lock_guard lock(counting);
    ++work.status.blocks_here;
    report(work.status);
  });
}

void Pinner::report(const PinStatus& status) {
  {
    const std::lock_guard lock(mutex_);
    auto& pins = pins_[status.library];
    const auto pin = pins.find(status.path);
    if (pin == pins.end()) return;  // unpinned meanwhile
    pin->second = status;
  }
  changed_.notify_all();
}

}  // namespace nacre

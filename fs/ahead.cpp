// SPDX-License-Identifier: Apache-2.0
#include "fs/ahead.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <list>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <unordered_set>
#include <utility>

#include "base/log.hpp"
#include "base/waiting.hpp"
#include "fs/lru.hpp"

namespace nacre {
namespace {

constexpr std::size_t most_walks = 8;
constexpr std::size_t first_directories = 64, first_files = 16;  // for who has just proved to walk

using Ids = std::unordered_set<ObjectId>;

// What lies ahead, in the order of a walk.
struct Guess {
  std::vector<ObjectId> directories;
  std::vector<ObjectId> files;
  std::vector<ObjectId> unknown;  // of both: to be fetched
  std::vector<ObjectId> nearby;   // files that a person may open: their objects are to be fetched
  bool deeper = false;            // what is in `unknown` hides more
};

// How much of it is asked for.
struct Window {
  std::size_t directories = 0;  // 0: the sub-directories of the one that is listed
  std::size_t files = 0;
  std::size_t nearby = 0;
};

// Goes on from where a program is, through the directories that are known.
class Lookout {
 public:
  Lookout(Depot& depot, const Ahead::Options& options, const Ahead::Way& way, const Window& window)
      : depot_(depot), options_(options), way_(way), window_(window) {}

  Guess look(const std::stop_token& stop) {
    stop_ = stop;
    const bool walks = window_.directories != 0;
    // Those above the last step come later, from where it went down.
    for (auto step = way_.steps.rbegin(); step != way_.steps.rend() && !done(); ++step) {
      const auto directory = depot_.known_directory(way_.library, step->directory);
      if (directory) pass(*directory, step->name, walks);
      if (!walks) break;
    }
    look_nearby();
    return std::move(guess_);
  }

 private:
  [[nodiscard]] bool done() const {
    return stop_.stop_requested() || (enough_directories() && enough_files());
  }
  [[nodiscard]] bool enough_directories() const {
    const bool listing = way_.steps.back().name.empty();
    const auto most = window_.directories != 0 ? window_.directories
                      : listing                ? options_.directories
                                               : 0;
    return guess_.directories.size() >= most || entries_ >= options_.entries;
  }
  [[nodiscard]] bool enough_files() const {
    return guess_.files.size() >= window_.files || bytes_ >= options_.file_bytes;
  }

  // Where the entries after `name` begin: they are kept in descending order, and listed in
  // ascending.
  static auto after(const Directory& directory, std::string_view name) {
    return std::make_reverse_iterator(std::ranges::partition_point(
        directory.entries, [&](const Dirent& e) { return e.name > name; }));
  }

  void pass(const Directory& directory, std::string_view name, bool down) {
    for (auto entry = after(directory, name); entry != directory.entries.rend() && !done();
         ++entry) {
      if (entry->is_directory())
        folder(entry->id, down);
      else
        file(*entry);
    }
  }

  void folder(const ObjectId& id, bool down) {
    if (enough_directories() || id.is_empty()) return;
    guess_.directories.push_back(id);
    if (!depot_.has_object(way_.library, id)) {
      guess_.unknown.push_back(id);
      guess_.deeper |= down;
    } else if (down) {
      const auto directory = depot_.known_directory(way_.library, id);
      if (!directory) return;
      entries_ += directory->entries.size();
      pass(*directory, {}, down);
    }
  }

  void file(const Dirent& entry) {
    if (enough_files() || entry.size > options_.small_file || entry.id.is_empty()) return;
    guess_.files.push_back(entry.id);
    bytes_ += entry.size;
    if (!depot_.has_object(way_.library, entry.id)) guess_.unknown.push_back(entry.id);
  }

  // Many at once: those that come next are known as a rule.
  void look_nearby() {
    const auto& [id, name] = way_.steps.back();
    const auto directory = depot_.known_directory(way_.library, id);
    if (window_.nearby == 0 || !directory) return;
    std::size_t seen = 0;
    for (auto entry = after(*directory, name);
         entry != directory->entries.rend() && seen < window_.nearby; ++entry) {
      if (entry->is_directory() || entry->id.is_empty()) continue;
      if (seen++ == window_.nearby / 2 && guess_.nearby.empty()) return;
      if (!depot_.has_object(way_.library, entry->id)) guess_.nearby.push_back(entry->id);
    }
  }

  Depot& depot_;
  const Ahead::Options& options_;
  const Ahead::Way& way_;
  const Window window_;
  std::stop_token stop_;
  Guess guess_;
  std::size_t entries_ = 0;
  std::uint64_t bytes_ = 0;
};

// One program's way through one library, as far as it can be told from others.
struct Walk {
  std::uint64_t number = 0;
  LibraryId library;
  std::optional<Ahead::Way> at;  // to be looked out from; none: that has been done
  Window window;
  Ids directories, files;            // that we guessed, and it has not come to yet
  ObjectId listed, read_in;          // the last directories of which either was seen
  std::string read;                  // the name of the last file
  std::size_t steps = 0, reads = 0;  // since the last look out,
  Window seen;                       // and what that saw
};

}  // namespace

class Ahead::Impl {
 public:
  Impl(Depot& depot, const Options& options) : depot_(depot), options_(options) {
    for (unsigned i = 0; i < options_.lanes; ++i)
      lanes_.emplace_back([this](const std::stop_token& stop) { fetch_blocks(stop); });
    scout_ = std::jthread([this](const std::stop_token& stop) { scout(stop); });
  }
  ~Impl() {
    scout_.request_stop();
    for (auto& lane : lanes_) lane.request_stop();  // all, before the first is waited for
  }

  void listed(Way way) {
    const auto& id = way.steps.back().directory;
    const std::lock_guard lock(mutex_);
    auto& walk = walk_at(way, id);
    const bool guessed = walk.directories.erase(id) != 0;
    const bool went_down =
        way.steps.size() > 1 && way.steps[way.steps.size() - 2].directory == walk.listed;
    auto& window = walk.window.directories;
    if (guessed && !went_down)
      window = std::min(options_.directories, std::max(first_directories, 2 * window));
    walk.listed = id;
    if (++walk.steps > walk.seen.directories / 4 || window == 0 || !guessed)
      look_out(walk, std::move(way), window == 0 ? options_.nearby : 0);
  }

  void reading(Way way, const ObjectId& file) {
    const auto& [directory, name] = way.steps.back();
    const std::lock_guard lock(mutex_);
    auto& walk = walk_at(way, directory);
    const bool guessed = walk.files.erase(file) != 0;
    const bool in_order = walk.read_in == directory && walk.read < name;
    auto& window = walk.window.files;
    if (guessed || in_order)
      window = std::min(options_.files, std::max(first_files, 2 * window));
    else
      window /= 2;
    const bool entered = walk.read_in != directory;
    walk.read_in = directory;
    walk.read = name;
    if (entered || (window != 0 && (++walk.reads > walk.seen.files / 4 || !guessed)))
      look_out(walk, std::move(way), options_.nearby);
  }

 private:
  // The walk that this belongs to, or a new one instead of the oldest.
  Walk& walk_at(const Way& way, const ObjectId& directory) {
    const auto known = std::ranges::find_if(walks_, [&](const Walk& walk) {
      return walk.library == way.library &&
             (walk.listed == directory || walk.read_in == directory ||
              walk.directories.contains(directory));
    });
    if (known != walks_.end()) {
      walks_.splice(walks_.begin(), walks_, known);
    } else {
      auto& fresh = walks_.emplace_front();
      fresh.number = ++last_number_;
      fresh.library = way.library;
      if (walks_.size() > most_walks) walks_.pop_back();
    }
    return walks_.front();
  }

  void look_out(Walk& walk, Way way, std::size_t nearby) {
    walk.at = std::move(way);
    walk.window.nearby = nearby;
    walk.steps = walk.reads = 0;
    wake_.notify_one();
  }

  struct Task {
    std::uint64_t walk;
    Way way;
    Window window;
  };

  // The newest walk that has moved.
  Walk* moved() {
    const auto found =
        std::ranges::find_if(walks_, [](const Walk& walk) { return walk.at.has_value(); });
    return found == walks_.end() ? nullptr : &*found;
  }

  void scout(const std::stop_token& stop) {
    auto waits = Waiting::at_most(depot_.options().patience, true);
    waits.stop = stop;
    std::unique_lock lock(mutex_);
    while (wake_.wait(lock, stop, [this] { return moved() != nullptr; })) {
      auto* walk = moved();
      const Task task{walk->number, *std::move(walk->at), walk->window};
      walk->at.reset();
      lock.unlock();
      try {
        waits.heard = std::make_shared<Heard>(Waiting::Clock::now());
        const WaitAs patient(waits);
        fetch(task, stop);
      } catch (const std::exception& e) {
        log::debug(e.what());
      }
      lock.lock();
    }
  }

  // Goes deeper as long as that shows more, and the program is not elsewhere by then.
  void fetch(const Task& task, const std::stop_token& stop) {
    for (bool more = true; more && !stop.stop_requested();) {
      const auto guess = Lookout(depot_, options_, task.way, task.window).look(stop);
      more = note(task, guess) && guess.deeper;
      ask_for_blocks(task.way, guess.files);  // of those that are known already
      depot_.fetch_objects(task.way.library, guess.unknown);
      ask_for_blocks(task.way, guess.files);
      if (!more) depot_.fetch_objects(task.way.library, guess.nearby);
    }
  }

  // False: the walk has gone on.
  bool note(const Task& task, const Guess& guess) {
    Ids directories(guess.directories.begin(), guess.directories.end());
    Ids files(guess.files.begin(), guess.files.end());
    const std::lock_guard lock(mutex_);
    const auto walk = std::ranges::find(walks_, task.walk, &Walk::number);
    if (walk == walks_.end()) return false;
    walk->seen = {directories.size(), files.size(), 0};
    // Who has not proved to walk comes back to what lies beside the way that it went down.
    if (task.window.directories == 0 && walk->directories.size() < options_.directories)
      walk->directories.merge(directories);
    else
      std::swap(walk->directories, directories);
    std::swap(walk->files, files);
    return !walk->at;
  }

  // In place of those that were asked for before and have not begun.
  void ask_for_blocks(const Way& way, const std::vector<ObjectId>& files) {
    if (files.empty()) return;
    const auto kind = way.encrypted ? BlockCache::Kind::ciphertext : BlockCache::Kind::plain;
    std::deque<Block> blocks;
    for (const auto& id : files) {
      const auto file = depot_.known_file(way.library, id);
      if (!file) continue;
      for (const auto& block : file->blocks) blocks.push_back({{way.library, block}, kind});
    }
    const std::lock_guard lock(mutex_);
    std::swap(blocks_, blocks);
    wake_lanes_.notify_all();
  }

  struct Block {
    ContentId key;
    BlockCache::Kind kind;
  };

  void fetch_blocks(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (wake_lanes_.wait(lock, stop, [this] { return !blocks_.empty(); })) {
      if (stop.stop_requested()) return;
      const auto block = blocks_.front();
      blocks_.pop_front();
      lock.unlock();
      depot_.fetch_block_now(block.key.library, block.key.id, block.kind, stop);
      lock.lock();
    }
  }

  Depot& depot_;
  const Options options_;
  std::mutex mutex_;
  std::condition_variable_any wake_, wake_lanes_;
  std::list<Walk> walks_;  // guarded by mutex_, as are the next; the newest first
  std::uint64_t last_number_ = 0;
  std::deque<Block> blocks_;
  std::vector<std::jthread> lanes_;
  std::jthread scout_;
};

Ahead::Ahead(Depot& depot, const Options& options)
    : impl_(std::make_unique<Impl>(depot, options)) {}

Ahead::~Ahead() = default;

void Ahead::listed(Way way) { impl_->listed(std::move(way)); }

void Ahead::reading(Way way, const ObjectId& file) { impl_->reading(std::move(way), file); }

}  // namespace nacre

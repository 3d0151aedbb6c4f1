// SPDX-License-Identifier: Apache-2.0
//
// The half of LibrarySync that sends.
#include <algorithm>
#include <ctime>
#include <deque>
#include <iterator>
#include <unordered_map>
#include <unordered_set>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "fs/brake.hpp"
#include "fs/content_view.hpp"
#include "fs/library_sync.hpp"
#include "fs/uploader.hpp"

namespace nacre {

// Sends the batch's contents, as a snapshot of state has them: what is written meanwhile is
// another version, for a later batch.
void LibrarySync::fill_batch(Batch& batch, std::vector<FsObject>& objects) {
  context_.state.commit(batch.saved);
  const auto snapshot = context_.state.snapshot();
  Uploader uploader(context_.depot, library_.id, library_.keys->get());
  for (auto& folder : batch.folders) {
    for (auto& entry : folder.entries) {
      if (!entry.content) continue;
      auto view =
          ContentView::open(context_.depot, snapshot, library_.id, library_.keys, entry.number);
      if (!view) {  // removed, or written again, just now
        entry.content = false;
        entry.waits = true;
        continue;
      }
      auto object = uploader.add(*view);
      entry.version = view->version();
      entry.dirent.size = view->size();
      entry.dirent.id = object.id;
      if (!object.id.is_empty()) objects.push_back(std::move(object));
    }
  }
  uploader.finish();
}

// Whether `commit` is `head` or one of its ancestors, as far as a merge can be away.
bool LibrarySync::contains(const ObjectId& head, const ObjectId& commit) {
  constexpr std::size_t farthest = 200;
  std::deque<ObjectId> next = {head};
  std::unordered_set<ObjectId> seen;
  while (!next.empty() && seen.size() < farthest) {
    const auto id = next.front();
    next.pop_front();
    if (id == commit) return true;
    if (!seen.insert(id).second) continue;
    const auto read = context_.depot.remote().commit(library_.id, id);
    if (read.second_parent) next.push_back(*read.second_parent);
    if (read.parent) next.push_back(*read.parent);
  }
  return false;
}

void LibrarySync::push(bool all) {
  settle_intent();
  pull_newest();
  failpoint("push.pulled");

  Batch batch;
  {
    const std::lock_guard lock(context_.mutex);
    batch = cut_batch(library_, {all, context_.quiet, context_.open_limit});
  }
  check_key(batch.base.encryption);  // it may have been locked when that came
  if (!batch.has_anything_to_send()) {
    // Only files that are open or just made: look again in a while.
    const std::lock_guard lock(context_.mutex);
    library_.first_change = library_.last_change = Clock::now();
    return;
  }
  check_deletions(batch);
  context_.depot.remote().check_upload(library_.id, static_cast<std::int64_t>(batch.bytes));
  failpoint("push.cut");
  std::vector<FsObject> objects;
  fill_batch(batch, objects);
  failpoint("push.blocks");
  std::ranges::move(build_directories(batch, context_.depot), std::back_inserter(objects));
  publish(std::move(batch), std::move(objects));
}

// A batch that takes much from the server waits until somebody agrees to it, or takes it back.
void LibrarySync::check_deletions(const Batch& batch) {
  if (context_.max_deletions == 0) return;
  BrakeRules rules{.most = context_.max_deletions};
  {
    const std::lock_guard lock(mutex_);
    rules.confirmed = confirmed_;
  }
  const bool parks = loses_too_much(batch, context_.depot, rules, [this](NodeNumber number) {
    learn_id(number, parked_ids_);
    return parked_ids_[number].second;
  });
  {
    const std::lock_guard lock(mutex_);
    parked_ = parks ? std::optional(batch.generation) : std::nullopt;
  }
  if (parks)
    throw Error(Errc::unconfirmed,
                library_.name + ": more than " + std::to_string(rules.most) +
                    " files would be deleted or overwritten on the server; nothing of this "
                    "library is sent before you agree, with `" +
                    confirm_command() + "`, or bring them back");
  parked_ids_.clear();
}

void LibrarySync::publish(Batch batch, std::vector<FsObject> objects) {
  auto& remote = context_.depot.remote();
  const auto root = batch.folders.back().built;
  if (root == batch.base.root) {  // what was changed was changed back
    const auto base = batch.base;
    intent_ = Intent{base, std::move(batch)};
    finish_intent(base.id);
    return;
  }
  // Later than its parent, so that no two commits share an id.
  const auto ctime = std::max<std::int64_t>(std::time(nullptr), batch.base.ctime + 1);
  const auto commit =
      next_commit(batch.base, root, remote.user(), context_.client, describe(batch), ctime);
  remote.put_commit(commit);
  failpoint("push.commit");
  std::vector<ObjectId> ids;
  for (const auto& object : objects) ids.push_back(object.id);
  const auto lacking = remote.missing_objects(library_.id, ids);
  const std::unordered_set<ObjectId> wanted(lacking.begin(), lacking.end());
  for (const auto& object : objects) context_.depot.remember(library_.id, object);
  std::erase_if(objects, [&](const FsObject& object) { return !wanted.contains(object.id); });
  remote.put_objects(library_.id, objects);
  failpoint("push.objects");

  intent_ = Intent{commit, std::move(batch)};
  // On the disk, or after a power cut our own later version would meet our earlier one.
  context_.state.stage({{record_key::intent(library_.id), encode(*intent_)}});
  context_.state.sync();
  failpoint("push.intent");
  const auto head = remote.publish(library_.id, commit.id);
  failpoint("push.published");
  if (!contains(head, commit.id))
    throw Error(Errc::busy, library_.name +
                                ": the server took a commit and does not have it; "
                                "it is sent again");
  finish_intent(head);
}

// What became of a batch whose answer never came: it is the server's, or it never was.
void LibrarySync::settle_intent() {
  if (!intent_) return;
  const auto head = context_.depot.remote().head(library_.id);
  if (contains(head, intent_->commit.id)) {
    finish_intent(head);
    return;
  }
  intent_.reset();
  context_.state.commit(context_.state.stage({{record_key::intent(library_.id), std::nullopt}}));
}

// The server has the batch; `head` is its commit, or a merge that contains it.
void LibrarySync::finish_intent(const ObjectId& head) {
  auto& [commit, batch] = *intent_;
  const bool merged = head != commit.id;
  std::unordered_map<NodeNumber, std::uint32_t> lost_modes;
  if (merged) {
    skip_what_is_missing(batch, context_.depot,
                         context_.depot.remote().commit(library_.id, head).root);
    for (const auto& folder : batch.folders) {
      for (const auto& entry : folder.entries) {
        if (entry.skipped && entry.attributes_only()) lost_modes[entry.number] = entry.dirent.mode;
      }
    }
  }
  State::Ticket ticket = 0;
  {
    const std::lock_guard lock(context_.mutex);
    apply_published(context_.tree, library_, batch, commit);
    context_.tree.add_staged({{record_key::intent(library_.id), std::nullopt}});
    ticket = context_.tree.stage();
  }
  intent_.reset();
  context_.state.commit(ticket);
  failpoint("push.applied");
  if (!merged) return;

  pull(head);
  // A merge by the server looks at contents only: an exec bit of ours may be gone.
  {
    const std::lock_guard lock(context_.mutex);
    for (const auto& [number, mode] : lost_modes) {
      auto* node = context_.tree.find_number(library_, number);
      if (node && node->parent) context_.tree.set_mode(*node, mode);
    }
    ticket = context_.tree.stage();
  }
  context_.state.commit(ticket);
}

}  // namespace nacre

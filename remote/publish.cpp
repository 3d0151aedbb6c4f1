// SPDX-License-Identifier: Apache-2.0
#include "remote/publish.hpp"

#include <ctime>

#include "base/error.hpp"
#include "crypto/hash.hpp"
#include "remote/merge.hpp"

namespace nacre {

namespace {

// Head and new commit, merged and stored.
Commit merge_commits(ObjectStore& store, const Commit& base, const Commit& head, const Commit& next,
                     const std::string& user) {
  const auto& library = head.library;
  const MergeSource source{
      [&](const ObjectId& id) { return read_directory(id, store.object(library, id)); },
      [&](const Directory& directory) {
        const auto json = write_directory(directory);
        const auto id = sha1(json);
        store.put_object(library, id, json);
        return id;
      }};
  const auto result =
      merge_trees(source, base.root, next.root, head.root, next.creator_name.value_or(user));
  auto merged = next_commit(head, result.root, user, ObjectId{}, "Auto merge by system",
                            static_cast<std::int64_t>(std::time(nullptr)));
  merged.second_parent = next.id;
  merged.new_merge = true;
  merged.conflict = result.conflict;
  store.put_commit(merged);
  return merged;
}

}  // namespace

ObjectId publish_commit(ObjectStore& store, const LibraryId& library, const ObjectId& commit,
                        const std::string& user) {
  constexpr int attempts = 100;
  const auto next = store.commit(library, commit);
  if (!next.parent) {
    throw Error(Errc::invalid, "commit " + commit.hex() + ": has no parent to build on");
  }
  const auto base = store.commit(library, *next.parent);
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const auto at = store.head(library);
    if (at == commit) return at;
    if (at == base.id) {
      if (store.move_head(library, at, commit)) return commit;
      continue;
    }
    const auto head = store.commit(library, at);
    if (head.second_parent == commit) return at;  // merged before; the answer was lost
    const auto merged = merge_commits(store, base, head, next, user);
    if (store.move_head(library, at, merged.id)) return merged.id;
  }
  throw Error(Errc::busy, "library " + library.str() + ": too many changes at once; try again");
}

}  // namespace nacre

// SPDX-License-Identifier: Apache-2.0
//
// What a server does when a client asks for a new head (seafile-protocol, section 5.9, step 10):
// fast forward, or merge with what happened in between.  Shared by the directory
// remote and the server.
#pragma once

#include <string>

#include "remote/object_store.hpp"

namespace nacre {

// `commit` is stored, with all that it needs.  Returns the head as it is then.  `user` is
// creator_name of a merge commit.  Throws Error{not_found} where the commit, its parent or an
// object needed for merging is not there, Error{invalid} for a commit without parent, Error{busy}
// if others kept winning the race.
ObjectId publish_commit(ObjectStore& store, const LibraryId& library, const ObjectId& commit,
                        const std::string& user);

}  // namespace nacre

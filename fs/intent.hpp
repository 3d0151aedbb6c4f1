// SPDX-License-Identifier: Apache-2.0
//
// The batch that is being published.  State has it before the server is asked, and forgets it
// with what came of it; so whatever happens in between (a killed daemon, a lost answer), it is
// known of each file what of it the server has.
#pragma once

#include "fs/batch.hpp"

namespace nacre {

struct Intent {
  Commit commit;
  Batch batch;  // without `base`, `bytes` and `saved`
};

Bytes encode(const Intent& intent);
Intent decode_intent(const LibraryId& library, ByteView bytes);  // throws Error{corrupt}

}  // namespace nacre

// SPDX-License-Identifier: Apache-2.0
//
// How malloc keeps house in a daemon through which large buffers come and go.
#pragma once

namespace nacre::heap {

// Mapped each by itself, as malloc does with large ones, each buffer costs page faults, and when it
// goes an interrupt of every processor.  From now on they stay in the heap, within bounds; to be
// called before the first thread, which would get a heap of its own.
void keep_large_buffers() noexcept;
// What is kept goes back to the system: for when there is nothing to do.
void give_back() noexcept;

}  // namespace nacre::heap

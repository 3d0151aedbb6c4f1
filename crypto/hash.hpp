// SPDX-License-Identifier: Apache-2.0
//
// SHA-1, by which Seafile names fs objects and blocks.
#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "base/ids.hpp"

namespace nacre {

class Sha1 {
 public:
  Sha1();
  ~Sha1();
  Sha1(Sha1&&) noexcept;
  Sha1& operator=(Sha1&&) noexcept;

  void update(ByteView bytes);
  ObjectId finish();  // once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

ObjectId sha1(ByteView bytes);

}  // namespace nacre

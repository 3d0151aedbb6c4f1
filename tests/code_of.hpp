// SPDX-License-Identifier: Apache-2.0
//
// The code of the Error that work throws; that it throws none is a failure.
#pragma once

#include <stdexcept>

#include "base/error.hpp"

namespace nacre::test {

template <class Work>
Errc code_of(Work&& work) {
  try {
    work();
  } catch (const Error& e) {
    return e.code();
  }
  throw std::runtime_error("nothing was thrown");
}

}  // namespace nacre::test

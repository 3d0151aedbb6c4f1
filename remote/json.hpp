// SPDX-License-Identifier: Apache-2.0
//
// Reading JSON that others wrote.  JsonDocument owns the text and what was parsed;
// every Json and string_view from it lives as long as it does.  The text is whole, valid
// UTF-8, and not deeper than max_json_depth, or else Error{corrupt}.
//
// A value of another type than the one asked for, or a number out of range, is
// nullopt: it is for the caller to say whether that is an error.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"

namespace nacre {

inline constexpr std::size_t max_json_depth = 32;

struct JsonMember;

class Json {
 public:
  [[nodiscard]] bool is_null() const noexcept;
  [[nodiscard]] bool is_object() const noexcept;
  [[nodiscard]] bool is_array() const noexcept;
  [[nodiscard]] std::optional<std::string_view> as_string() const noexcept;
  [[nodiscard]] std::optional<std::int64_t> as_int64() const noexcept;
  [[nodiscard]] std::optional<std::uint64_t> as_uint64() const noexcept;
  [[nodiscard]] std::optional<double> as_double() const noexcept;  // any number
  [[nodiscard]] std::optional<bool> as_bool() const noexcept;

  // The values of an array, the members of an object, in order; nothing for other types.
  [[nodiscard]] std::vector<Json> items() const;
  [[nodiscard]] std::vector<JsonMember> members() const;

  // The first member of that name; nullopt where there is none or this is no object.
  [[nodiscard]] std::optional<Json> member(std::string_view key) const noexcept;

  // member() of each key, in one pass; fastest where the members come in the order of the keys.
  void members(std::span<const std::string_view> keys,
               std::span<std::optional<Json>> values) const noexcept;

  // member(key) of that type.
  [[nodiscard]] std::optional<std::string_view> string_at(std::string_view key) const noexcept;
  [[nodiscard]] std::optional<std::int64_t> int64_at(std::string_view key) const noexcept;
  [[nodiscard]] std::optional<bool> bool_at(std::string_view key) const noexcept;

 private:
  friend class JsonDocument;
  friend struct JsonAccess;
  using Handle = std::array<std::uintptr_t, 2>;  // the parser's own reference
  explicit Json(const Handle& handle) noexcept : handle_(handle) {}

  Handle handle_;
};

struct JsonMember {
  std::string_view key;
  Json value;
};

class JsonDocument {
 public:
  // `what` names the text in the error.
  explicit JsonDocument(std::string_view text, std::string_view what = "JSON");
  explicit JsonDocument(ByteView text, std::string_view what = "JSON");
  ~JsonDocument();
  JsonDocument(JsonDocument&&) noexcept;
  JsonDocument& operator=(JsonDocument&&) noexcept;

  [[nodiscard]] Json root() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nacre

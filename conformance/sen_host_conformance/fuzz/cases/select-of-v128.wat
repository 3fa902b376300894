(module
  (type (;0;) (func (param i32) (result i64)))
  (memory (;0;) 1)
  (export "memory" (memory 0))
  (export "f1" (func 0))
  (func (;0;) (type 0) (param i32) (result i64)
    (local v128)
    local.get 1
    v128.const i32x4 0x05060708 0x01020304 0x00000000 0x00000000
    local.get 0
    select
    i64x2.extract_lane 0
  )
)

(module
  (type (;0;) (func (param i32) (result i64)))
  (memory (;0;) 1)
  (export "memory" (memory 0))
  (export "f0" (func 0))
  (func (;0;) (type 0) (param i32) (result i64)
    v128.const i32x4 0x00000001 0x00000000 0x00000002 0x00000000
    local.get 0
    f64.load
    f64x2.replace_lane 0
    i64x2.extract_lane 1
  )
  (data (;0;) (i32.const 8) "\00\00\00\00\00\00\f8?")
)

(module
  (type (;0;) (func (param i32) (result i32)))
  (memory (;0;) 1)
  (export "memory" (memory 0))
  (export "f0" (func 0))
  (export "f1" (func 1))
  (func (;0;) (type 0) (param i32) (result i32)
    local.get 0
    i32.load
    i32.extend8_s
  )
  (func (;1;) (type 0) (param i32) (result i32)
    local.get 0
    i32.load
    i32.extend16_s
  )
)

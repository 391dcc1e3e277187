// left * right^T + bias: what joins a product in its float32 accumulator. Included by the products.
struct Product {
    int rows;       // of x
    int extra;      // columns of left [rows, extra] and right [columns of y, extra]; 0: there are none
    int has_bias;   // [columns of y]
};

#define PRODUCT_BUFFERS(T)                                                                  \
    device const T* x [[buffer(6)]], device const float* left [[buffer(7)]],                \
        device const float* right [[buffer(8)]], device const float* bias [[buffer(9)]],    \
        constant Product& product [[buffer(10)]], device T* y [[buffer(11)]]

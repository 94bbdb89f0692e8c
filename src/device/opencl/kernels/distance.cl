/* distance.cl - what relative attention adds to the score of a query and a key: rows that stand for distances. */
typedef struct distances {
    global const float *rows; /* of a head, [rows_per_head, width] */
    global const int *places; /* of the distance 0; negative ones are in front */
    uint is_there;
} distances;

/* longest is that of the batch; no rows per head mean that there is no such term. */
static inline distances distances_of(bytes weight, ulong weight_at, bytes places, ulong places_at, uint rows_per_head,
                                     uint head, uint width, uint longest) {
    distances d;
    d.rows = FLOATS(weight, weight_at) + (ulong)head * rows_per_head * width;
    d.places = INTEGERS(places, places_at) + longest - 1;
    d.is_there = rows_per_head > 0;
    return d;
}

/* sum + the products of `wide` columns of x, which are those from `first` on, with the row of a distance. */
static inline float add_distance(float sum, distances d, int distance, local const float *x, uint first, uint wide,
                                 uint width) {
    if (!d.is_there) return sum;
    global const float *row = d.rows + (ulong)d.places[distance] * width + first;
    for (uint i = 0; i < wide; i++) sum = multiply_add(x[i], row[i], sum);
    return sum;
}

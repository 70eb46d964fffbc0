// bw_row against the place of a beat in its pixel and of the pixel in its frame, classes 2, 0, 1, 2 ...
module proof #(
    parameter NF = 2, parameter CLASSES = 3, parameter POSITIONS = 4, parameter CLASS_FILE = ""
) (
    input wire clk, input wire rst_n, input wire ce, input wire [1:0] data, input wire valid
);
    wire [1:0] data_out;
    wire valid_out;
    wire [(NF*CLASSES > 1 ? $clog2(NF*CLASSES) : 1)-1:0] row;
    bw_row #(.W(2), .NF(NF), .CLASSES(CLASSES), .POSITIONS(POSITIONS), .CLASS_FILE(CLASS_FILE)) dut (
        .clk(clk), .rst_n(rst_n), .ce(ce), .data(data), .valid(valid),
        .data_out(data_out), .valid_out(valid_out), .row(row)
    );
    reg [7:0] beat;
    reg [7:0] pixel;
    reg [7:0] row_late;
    reg [1:0] data_late;
    reg valid_late;
    wire [7:0] row_now = (CLASSES > 1 ? (pixel + CLASSES - 1) % CLASSES : 0) * NF + beat;
    always @(posedge clk) begin
        if (!rst_n) begin
            beat <= 0;
            pixel <= 0;
            valid_late <= 0;
        end else if (ce) begin
            valid_late <= valid;
            if (valid) begin
                beat <= (beat == NF - 1) ? 0 : beat + 1;
                if (beat == NF - 1) pixel <= (pixel == POSITIONS - 1) ? 0 : pixel + 1;
            end
        end
        if (ce) begin
            row_late <= row_now;
            data_late <= data;
        end
    end
    always @* if (CLASSES == 1) begin
        assert (valid_out == valid && data_out == data && row == row_now);
    end else begin
        assert (valid_out == valid_late);
        if (valid_late) assert (data_out == data_late && row == row_late);
    end
endmodule
